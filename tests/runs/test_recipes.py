import pytest

from tfp_realnvp.flows import PRESETS
from tfp_realnvp.runs.recipes import RECIPES, recipe_of
from tfp_realnvp.runs.run_config import RunConfig


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_has_a_recipe_that_makes_a_run(preset):
    recipe = recipe_of(preset)
    config = RunConfig("digits", {}, epochs=1, seed=0, **recipe)
    assert {name: getattr(config, name) for name in recipe} == recipe


def test_the_paper_is_trained_by_adam_at_a_constant_rate():
    recipe = recipe_of("cifar10")
    assert (recipe["learning_rate"], recipe["schedule"]) == (1e-3, "constant")
    assert (recipe["warmup_steps"], recipe["average_decay"]) == (0, None)


def test_a_recipe_can_be_changed_without_changing_the_table():
    recipe_of("cifar10")["batch_size"] = 1
    assert recipe_of("cifar10")["batch_size"] == 64


def test_recipes_are_those_of_presets():
    assert set(RECIPES) <= set(PRESETS)
    with pytest.raises(ValueError, match="preset: expected .* got 'cifar11'"):
        recipe_of("cifar11")
