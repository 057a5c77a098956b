import gc
import os
import re

import keras
import pytest

# Tests that the README's command leaves out: whole programs, those that start others,
# and rows of tables that resemble other rows. Each is a pattern for ids of tests.
SLOW = re.compile(
    "|".join(
        (
            r"tests/benchmarks/",
            r"tests/examples/",
            r"robustness/test_values.*(predict|log_det|images|forward|latents)",
            r"test_never_stale.*\[(?!vector)\w+-graph-",
            r"test_graph_and_xla_.*(xla|graph-real_nvp|image-)",
            r"test_recompute.*graph_and_xla|gallery/test_browser",
            r"docs/test_pages.*code_of_a_page|docs/test_site",
            r"docs/test_architecture.*(latent|pix|jacobian|tables)",
            r"cli/test_(workers|train_seeds|gallery|figures|export|own_images)",
            r"cli/test_commands.*(killed|conditioned_on|can_be_told|full_disk|dry_run)",
            r"cli/test_parser.*starts_silently",
            r"runs/test_tensorboard",
            r"runs/test_run.*(cut_off_after|accumulated|without_an_average)",
            r"training/test_(cost|modes_of_tensorflow|replicas.*workers)",
            r"training/.*(parts_that_are_not_ours|function_of_the_step|whole_floats)",
            r"serving/test_export.*mirrored",
            r"test_saving.*fresh_process|test_readme.*serving",
            r"evaluation/test_image_scores.*(two_processes|cannot_be_read)",
        )
    )
)

# Doctests cannot be collected from files of the same name; tests have none anyway.
collect_ignore_glob = ["*conftest.py"]


def pytest_addoption(parser):
    parser.addoption(
        "--data-dir",
        default=os.environ.get("TFP_REALNVP_DATA_DIR"),
        help="folder of prepared TFDS data (cifar10, celeb_a), for the tests that "
        "read it; also taken from TFP_REALNVP_DATA_DIR",
    )


def pytest_configure():
    # Parallel workers whose operations use all cores would wait for one another.
    if "PYTEST_XDIST_WORKER" in os.environ:
        os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")


def pytest_collection_modifyitems(items):
    for item in items:
        if SLOW.search(item.nodeid):
            item.add_marker(pytest.mark.slow)


@pytest.fixture
def data_dir(request):
    path = request.config.getoption("--data-dir")
    if path is None:
        pytest.skip("needs prepared TFDS data: --data-dir or TFP_REALNVP_DATA_DIR")
    return path


@pytest.fixture(autouse=True)
def _seeded():
    keras.utils.set_random_seed(0)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item, nextitem):
    result = yield
    # Python's collector goes through all layers and graphs of all tests so far, again
    # and again: the same test took six times as long at the end of a run. What is
    # alive after a module is left alone; not before its last test has let go of models.
    if nextitem is None or nextitem.path != item.path:
        gc.collect()
        gc.freeze()
    return result
