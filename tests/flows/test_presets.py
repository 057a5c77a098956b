import pytest

import tfp_realnvp as nvp
from tfp_realnvp.choices import DATA_SETS
from tfp_realnvp.flows.presets import dataset_of, preset_for


def test_every_preset_is_for_a_data_set_that_there_is():
    assert {dataset_of(preset) for preset in nvp.PRESETS} <= set(DATA_SETS)
    assert dataset_of("cifar10-small") == "cifar10"
    with pytest.raises(ValueError, match="preset: expected .* or .*, got 'mnist'"):
        dataset_of("mnist")


@pytest.mark.parametrize("dataset", sorted({*DATA_SETS} - {"photos"}))
def test_every_data_set_of_the_paper_has_a_preset_of_its_own(dataset):
    assert dataset_of(preset_for(dataset)) == dataset
    assert preset_for("cifar10") == "cifar10"


@pytest.mark.parametrize("dataset", ["photos", "folder:mine"])
def test_other_images_are_modelled_with_a_small_preset(dataset):
    assert preset_for(dataset) == "cifar10-small"


@pytest.mark.parametrize(
    "preset", [name for name in nvp.PRESETS if not name.startswith(("cifar", "digits"))]
)
def test_the_papers_flows_are_squeezed_until_the_last_scale_is_4_x_4(preset):
    sizes = nvp.PRESETS[preset]
    side = sizes["event_shape"][0]
    assert side // 2 ** (sizes["num_scales"] - 1) == 4
    assert (sizes["filters"], sizes["num_blocks"]) == (32, {32: 4, 64: 2}[side])
