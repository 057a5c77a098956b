import gc
import os
import pathlib

import keras
import pytest

# Left out by the README's command, with what is marked by hand: whole programs, tables
# that try the same for many classes, and processes of their own.
SLOW = ("benchmarks", "examples", "robustness/test_bad_inputs.py")

# Several of one name cannot be looked through for doctests, which tests have none of.
collect_ignore_glob = ["*conftest.py"]


def pytest_addoption(parser):
    parser.addoption(
        "--data-dir",
        default=os.environ.get("TFP_REALNVP_DATA_DIR"),
        help="folder of prepared TFDS data (cifar10, celeb_a), for the tests that "
        "read it; also taken from TFP_REALNVP_DATA_DIR",
    )


def pytest_configure():
    # Side by side, workers whose operations spread over all cores wait for one another.
    if "PYTEST_XDIST_WORKER" in os.environ:
        os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")


def pytest_collection_modifyitems(items):
    tests = pathlib.Path(__file__).parent
    for item in items:
        if any(item.path.is_relative_to(tests / part) for part in SLOW):
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
