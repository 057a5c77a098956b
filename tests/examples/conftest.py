import pytest
from example import EXAMPLES

import tfp_realnvp as nvp
from tfp_realnvp.runs.run import train
from tfp_realnvp.runs.run_config import RunConfig
from tfp_realnvp.runs.run_directory import RunDirectory


@pytest.fixture
def sibling_examples(monkeypatch):
    """Lets an example import others, as it does when it is run."""
    monkeypatch.syspath_prepend(EXAMPLES)


@pytest.fixture(scope="session")
def digits_run(tmp_path_factory):
    """Folder of a short run on digits."""
    config = RunConfig(
        dataset="digits",
        flow={**nvp.PRESETS["digits"], "filters": 16},
        batch_size=64,
        epochs=6,
        learning_rate=2e-3,
        seed=0,
    )
    path = tmp_path_factory.mktemp("runs") / "digits"
    directory = RunDirectory.create(path, config)
    train(config.build_model(), config, config.load_data(), directory, verbose=0)
    return path
