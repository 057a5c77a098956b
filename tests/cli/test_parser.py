import resource
import subprocess
import sys

import pytest

import tfp_realnvp as nvp
from tfp_realnvp import choices
from tfp_realnvp.cli import main, make_parser, train
from tfp_realnvp.data import load
from tfp_realnvp.figures.catalog import CATALOG
from tfp_realnvp.flows.presets import dataset_of
from tfp_realnvp.runs import RunDirectory
from tfp_realnvp.runs.run_config import RECIPES, recipe_of

COMMANDS = [
    "train",
    "evaluate",
    "score",
    "health",
    "sample",
    "figures",
    "gallery",
    "export",
]
BAD = [
    ("nope", "argument command: invalid choice: 'nope'"),
    ("train --bad", "unrecognized arguments: --bad"),
    ("evaluate", "the following arguments are required: RUN"),
    ("evaluate ''", "argument RUN: expected a path, got ''"),
    ("sample run --count", "--count: expected one argument"),
    ("sample run --weights first", "--weights: invalid choice: 'first'"),
    ("figures run --only nothing", "--only: invalid choice: 'nothing'"),
    ("sample run --temperature -1", "expected 0 or more, and finite, got '-1'"),
    ("health run --seed -1", "--seed: expected an int from 0 to 4294967295"),
    ("train --preset mnist", "--preset: invalid choice: 'mnist'"),
    ("train --dataset mnist", "--dataset: expected digits, photos"),
    ("train --dataset folder:", "or folder:PATH, got 'folder:'"),
    ("train --batch-size 0", "--batch-size: expected a positive int, got '0'"),
    ("train --seeds 1 -1", "--seeds: expected an int from 0 to 4294967295"),
    ("train --seed 1 --seeds 1 2", "not allowed with argument"),
    ("train --epochs two", "--epochs: expected a positive int, got 'two'"),
    ("train --minutes -1", "--minutes: expected a positive number, got '-1'"),
    ("train --learning-rate nan", "expected a positive number, got 'nan'"),
    ("train --warmup-steps -1", "expected a non-negative int, got '-1'"),
    ("train --average-decay 1", "expected a number from 0 to below 1, got '1'"),
    ("train --name ../old", "--name: expected the name of a folder in RUNS"),
    ("train --name ''", "--name: expected the name of a folder in RUNS, got ''"),
]


def words(line):
    return [word.strip("'") for word in line.split()]


@pytest.mark.parametrize(("line", "message"), BAD)
def test_bad_options_are_answered_in_one_line(line, message, capsys):
    assert main(words(line)) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("tfp-realnvp") and message in line


def test_help_and_bad_options_do_not_wait_for_tensorflow():
    code = f"""
import sys
import tfp_realnvp as nvp
from tfp_realnvp.cli import main
assert "FlowModel" in dir(nvp) and not hasattr(nvp, "nothing")
for command in {[[], *([name] for name in COMMANDS)]}:
    assert main([*command, "--help"]) == 0
for arguments in {[words(line) for line, _ in BAD]}:
    assert main(arguments) == 2, arguments
slow = {{"keras", "matplotlib", "numpy", "tensorflow", "tensorflow_probability"}}
assert slow.isdisjoint(sys.modules), slow & set(sys.modules)
"""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    # Of thirty answers.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 1


def test_choices_of_the_command_line_are_those_of_the_library(tmp_path):
    assert tuple(nvp.PRESETS) == choices.PRESETS
    assert tuple(load._KNOWN) == choices.DATA_SETS
    assert tuple(CATALOG) == choices.FIGURES
    assert all(RunDirectory(tmp_path).weights(which) for which in choices.WEIGHTS)


def said_by(*arguments):
    """Returns what a process of its own says as its command fails."""
    code = f"""
from tfp_realnvp.cli import main
assert main(["sample", "nowhere", *{arguments}]) == 2
import matplotlib.figure
"""
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, check=True, text=True).stderr


def test_tensorflow_starts_silently_unless_asked_not_to(monkeypatch):
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL", raising=False)
    # As a notebook that the command is started from has it.
    monkeypatch.setenv("MPLBACKEND", "module://not_here.backend_inline")
    (line,) = said_by().splitlines()
    assert line.startswith("tfp-realnvp sample: error: ")
    assert "oneDNN" in said_by("--verbose")
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "0")
    assert "oneDNN" in said_by()


def config_of(options):
    """Returns the configuration of the run that the command would begin."""
    return train._config(make_parser().parse_args(["train", *options.split()]))


@pytest.mark.parametrize("preset", nvp.PRESETS)
def test_a_preset_brings_its_recipe(preset):
    config, recipe = config_of(f"--preset {preset}"), recipe_of(preset)
    assert config.dataset == dataset_of(preset)
    assert {name: getattr(config, name) for name in recipe} == recipe


def test_the_paper_is_trained_by_adam_at_a_constant_rate():
    assert list(recipe_of("cifar10").values()) == [64, 1e-3, "constant", 0, None]
    assert set(RECIPES) <= set(nvp.PRESETS)


def test_options_override_the_recipe_one_by_one():
    config = config_of(
        "--preset cifar10-plus --learning-rate 0.5 --warmup-steps 0 --average-decay 0 "
        "--schedule constant --filters 3 --memory recompute --crop none"
    )
    assert (config.learning_rate, config.warmup_steps) == (0.5, 0)
    assert (config.average_decay, config.schedule) == (None, "constant")
    assert config.batch_size == RECIPES["cifar10-plus"]["batch_size"]
    assert (config.flow["filters"], config.flow["memory"]) == (3, "recompute")
    assert (config.crop, config.epochs, config.data_dir) == ("none", 20, None)
    # Digits are learnt by the better recipe without asking.
    config = config_of("--batch-size 7")
    assert (config.batch_size, config.learning_rate) == (7, 4e-3)
    assert (config.flow["invertible_conv"], config.flow["crelu"]) == (True, False)
