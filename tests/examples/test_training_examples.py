import importlib
import json

import pytest
import tensorflow as tf
from example import EXAMPLES, is_png, load_example

import tfp_realnvp as nvp

NAMES = {
    "train_cifar10": ("cifar10", "cifar10"),
    "train_imagenet32": ("imagenet32", "imagenet32"),
    "train_imagenet64": ("imagenet64", "imagenet64"),
    "train_celeba": ("celeb_a", "celeba"),
    "train_lsun": ("lsun_church_outdoor", "lsun_church_outdoor"),
}


@pytest.fixture
def start(monkeypatch):
    """Function that runs an example as from the command line."""
    monkeypatch.syspath_prepend(EXAMPLES)

    def start(name, *options):
        category = ["--category=church_outdoor"] if name == "train_lsun" else []
        monkeypatch.setattr("sys.argv", [name, *category, *options])
        load_example(name).main()

    return start


def test_an_example_goes_from_made_up_images_to_a_saved_model(start, tmp_path, capsys):
    start("train_celeba", "--smoke", f"--output={tmp_path}/run")
    printed = capsys.readouterr().out
    for stage in ("1. Devices", "2. Data", "3. Training", "4. Evaluation", "5. SavedM"):
        assert stage in printed
    assert "All this was done with made-up images, not celeb_a." in printed
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert (summary["epochs"], summary["steps"]) == (2, 8)
    assert is_png(tmp_path / "run" / "samples.png")
    served = tf.saved_model.load(tmp_path / "run" / "saved_model")
    sample = served.signatures["sample"](
        num_samples=tf.constant(2),
        seed=tf.constant([0, 1]),
        temperature=tf.constant(1.0),
    )
    assert sample["samples"].shape == (2, 64, 64, 3)


class _Stop(Exception):
    pass


@pytest.mark.parametrize("name", NAMES)
def test_the_papers_flow_for_the_data_would_be_trained_on_made_up_images(
    start, name, tmp_path, monkeypatch
):
    dataset, preset = NAMES[name]
    begun = {}

    def train(model, config, data, directory):
        begun.update(model=model, config=config, data=data, path=directory.path)
        raise _Stop

    monkeypatch.syspath_prepend(EXAMPLES)
    shared = importlib.import_module("training_example")
    monkeypatch.setattr(shared, "train", train)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(_Stop):
        start(name, "--smoke", "--strategy=none")
    paper = nvp.PRESETS[preset]
    expected = {**paper, **shared.SMALL, "network_dtype": "float32"}
    assert begun["config"].flow == expected
    assert begun["config"].dataset == f"made-up images, not {dataset}"
    assert begun["path"].as_posix() == f"runs/{preset}-smoke"
    assert begun["data"].event_shape == begun["model"].flow.event_shape
    assert begun["data"].train.count == 64
    assert begun["data"].flips == (not dataset.startswith("imagenet"))


@pytest.mark.parametrize("name", NAMES)
def test_without_its_data_an_example_says_where_they_are_had(start, name, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"--data-dir.*(python -c|unzip)"):
        start(name, f"--data-dir={tmp_path}", f"--output={tmp_path}/run")
    assert not list(tmp_path.iterdir())
