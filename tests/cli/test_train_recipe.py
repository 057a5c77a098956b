import pytest

from tfp_realnvp.cli import make_parser, train
from tfp_realnvp.flows.presets import dataset_of
from tfp_realnvp.runs.recipes import RECIPES


def config_of(*options):
    """Returns the configuration of the run that the command would begin."""
    return train._config(make_parser().parse_args(["train", *options]))


@pytest.mark.parametrize("preset", RECIPES)
def test_a_preset_brings_its_recipe(preset):
    config = config_of("--preset", preset)
    assert config.dataset == dataset_of(preset)
    for name, value in RECIPES[preset].items():
        assert getattr(config, name) == value


def test_options_override_the_recipe_one_by_one():
    config = config_of(
        *("--preset", "cifar10-plus", "--learning-rate", "0.5"),
        *("--warmup-steps", "0", "--average-decay", "0", "--schedule", "constant"),
    )
    assert (config.learning_rate, config.warmup_steps) == (0.5, 0)
    assert (config.average_decay, config.schedule) == (None, "constant")
    assert config.batch_size == RECIPES["cifar10-plus"]["batch_size"]
    assert config_of("--batch-size", "7").batch_size == 7


def test_digits_are_learnt_by_the_better_recipe_without_asking():
    config = config_of()
    assert (config.learning_rate, config.schedule) == (4e-3, "trapezoid")
    assert (config.flow["invertible_conv"], config.flow["crelu"]) == (True, False)
