import gc
import os

import keras
import pytest

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


@pytest.fixture
def data_dir(request):
    path = request.config.getoption("--data-dir")
    if path is None:
        pytest.skip("needs prepared TFDS data: --data-dir or TFP_REALNVP_DATA_DIR")
    return path


@pytest.fixture(autouse=True)
def _seeded():
    keras.utils.set_random_seed(0)


@pytest.fixture(scope="module", autouse=True)
def _old_objects_left_alone():
    # Python's collector goes through all layers and graphs of all tests so far, again
    # and again: the same test took six times as long at the end of a run.
    yield
    gc.collect()
    gc.freeze()
