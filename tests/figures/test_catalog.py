import json
import types

import numpy as np
import pytest

import tfp_realnvp as nvp
from tfp_realnvp.data import ImageData, ImageSplit
from tfp_realnvp.figures.catalog import CATALOG, Number, Subject, write, write_figures

ATTRIBUTES = ("bright", "striped", "spotted")


def data_of(images, conditions=None, names=None, *, test=None):
    split = ImageSplit.from_array(images, conditions)
    first = split.select(np.arange(len(images) if test is None else test))
    return ImageData(
        "grey",
        images.shape[1:],
        train=split,
        validation=split,
        test=first,
        condition_names=names,
    )


def with_attributes(images):
    flags = np.random.default_rng(0).integers(0, 2, [len(images), 3]).astype(bool)
    return data_of(images, flags, ATTRIBUTES)


def entries(path):
    return json.loads((path / "figures.json").read_text())


def test_attributes_are_judged_together_and_one_by_one(by_class, images, tmp_path):
    subject = Subject(by_class, with_attributes(images), count=8, classifier_epochs=1)
    write_figures(subject, tmp_path, only=["attribute_change"])
    numbers = entries(tmp_path)["attribute_change.png"]["numbers"]
    assert {f"new_{name}" for name in ATTRIBUTES} <= set(numbers)
    # What was found right before the change is found wrong after no change.
    total = numbers["real_accuracy_where_changed"]["value"] + numbers["chance"]["value"]
    assert total == pytest.approx(100)


def test_samples_stand_in_the_place_of_those_whose_attributes_they_have(
    by_class, images, tmp_path
):
    subject = Subject(by_class, with_attributes(images), count=8)
    write_figures(subject, tmp_path, only=["samples"])
    described = entries(tmp_path)["samples.png"]["description"]
    assert "under the condition of the image in its place" in described


def test_a_class_that_is_missing_leaves_samples_in_the_order_of_the_data(
    by_class, images, tmp_path
):
    data = data_of(images, np.array([0, 1] * 4), ("a", "b", "c"))
    write_figures(Subject(by_class, data, count=6), tmp_path, only=["samples"])
    described = entries(tmp_path)["samples.png"]["description"]
    assert "A class in each column" not in described


def test_what_too_few_images_do_not_allow_is_left_out(flow, images, tmp_path, capsys):
    subject = Subject(flow, data_of(images, test=3), count=3)
    write_figures(subject, tmp_path, only=["manifold", "animation", "interpolation"])
    output = capsys.readouterr().out
    assert "manifold: left out, for it takes 4 test images, and there are 3." in output
    assert "animation: left out, for it takes 8 test images" in output
    assert list(entries(tmp_path)) == ["interpolation.png"]


def test_a_flow_of_one_scale_has_nothing_to_leave_out(images):
    flow = nvp.image_flow(event_shape=(8, 8, 1), num_scales=1, filters=4, num_blocks=1)
    subject = Subject(flow, data_of(images), count=4)
    assert "single scale" in CATALOG["compression"].obstacle(subject)


def test_a_single_condition_is_not_changed(by_class, images):
    data = data_of(images, np.ones(8, np.int32), ("a", "b", "c"))
    obstacle = CATALOG["attribute_change"].obstacle
    assert "one condition only" in obstacle(Subject(by_class, data, count=4))


def test_a_later_failure_loses_no_earlier_figure(flow, images, tmp_path, monkeypatch):
    def fail(subject):
        raise MemoryError

    catalog = {
        "samples": CATALOG["samples"],
        "manifold": types.SimpleNamespace(make=fail, obstacle=lambda subject: None),
    }
    monkeypatch.setattr(write, "CATALOG", catalog)
    subject = Subject(flow, data_of(images), count=4)
    with pytest.raises(MemoryError):
        write_figures(subject, tmp_path)
    assert list(entries(tmp_path)) == ["samples.png"]
    assert {p.name for p in tmp_path.iterdir()} == {"samples.png", "figures.json"}


def test_a_damaged_list_of_figures_is_refused(flow, images, tmp_path):
    (tmp_path / "figures.json").write_text("{")
    with pytest.raises(ValueError, match="output: .*figures.json is damaged"):
        write_figures(
            Subject(flow, data_of(images), count=4), tmp_path, only=["samples"]
        )


def test_conditions_that_are_not_the_flows_are_refused(flow, by_class, images, labels):
    with pytest.raises(ValueError, match="data: expected conditions of the flow's si"):
        Subject(by_class, data_of(images), count=4)
    with pytest.raises(ValueError, match="size, None; got 3"):
        Subject(flow, data_of(images, labels, ("a", "b", "c")), count=4)


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"count": 9}, "count: expected 1 to 8, the test images of 'grey'; got 9"),
        ({"count": 0}, "count: expected 1 to 8"),
        (
            {"temperature": -1.0},
            "temperature: expected 0 or more, and finite",
        ),
        ({"factors": (2, 0)}, "factors: expected positive ints, got 0"),
        ({"classifier_epochs": 0}, "classifier_epochs: expected a positive int, got 0"),
    ],
)
def test_choices_out_of_range_are_refused(choice, message, flow, images):
    with pytest.raises(ValueError, match=message):
        Subject(flow, data_of(images), **{"count": 4, **choice})


def test_a_mean_has_its_standard_error():
    number = Number.mean(np.array([1.0, 2.0, 3.0]), "dB", "")
    assert (number.value, number.standard_error) == (2, pytest.approx(1 / np.sqrt(3)))
    assert str(number) == "2 ± 0.58 dB"
    assert Number.mean(np.array([1.0]), "dB", "").standard_error is None


def test_a_ratio_of_all_images_is_that_of_their_mean_error():
    black = np.zeros([2, 4, 4, 1], np.uint8)
    other = black.copy()
    other[0] += 10
    number = Number.pooled_psnr(black, other, "")
    assert number.value == pytest.approx(10 * np.log10(255**2 / 50))


def test_infinity_is_null_for_json_has_none():
    black = np.zeros([2, 4, 4, 1], np.uint8)
    number = Number.pooled_psnr(black, black, "")
    assert number.value is None
    assert str(number) == "infinite dB"
