import pytest
from pixel_models import data

from tfp_realnvp.evaluation.paper_table import PAPER, paper_results


def test_the_test_images_of_cifar10_have_a_figure():
    found = paper_results(data("cifar10", 1000, 10_000), "test")
    assert (found.title, found.real_nvp, found.pixel_rnn) == (
        "CIFAR-10, test",
        "3.49",
        "3.00",
    )
    assert "Table 1" in found.remark


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("imagenet32", "4.28 (4.26)"),
        ("imagenet64", "3.98 (3.75)"),
        ("lsun_bedroom", "2.72 (2.70)"),
        ("lsun_tower", "2.81 (2.78)"),
        ("lsun_church_outdoor", "3.08 (2.94)"),
        ("celeb_a", "3.02 (2.97)"),
    ],
)
def test_the_images_that_the_paper_validated_on_are_told_by_their_number(
    name, expected
):
    row = PAPER[name]
    ours = data(name, 500, row.images, row.event_shape)
    assert paper_results(ours, "test").real_nvp == expected
    assert paper_results(ours, "validation").real_nvp is None
    assert paper_results(ours, "train").real_nvp == f"({row.real_nvp_train})"


def test_the_paper_has_no_figure_on_the_test_images_of_celeba():
    faces = data("celeb_a", 19_867, 19_962, (64, 64, 3))
    found = paper_results(faces, "test")
    assert found.real_nvp is None
    assert "3.02 is on the 19867 validation images of CelebA" in found.remark
    assert paper_results(faces, "validation").real_nvp == "3.02 (2.97)"


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_other_images_of_the_same_name_are_marked(split):
    for stand_in in (
        data("celeb_a", 72, 100, (64, 64, 3)),
        data("celeb_a", 19_867, 19_962, (32, 32, 3)),
    ):
        found = paper_results(stand_in, split)
        assert found.title == f"celeb_a (not the paper's images), {split}"
        assert found.real_nvp is None and found.pixel_rnn is None
        assert "not the paper's images: CelebA has 19867" in found.remark


def test_a_part_of_the_images_is_not_compared_with_all():
    found = paper_results(data("cifar10", 1000, 10_000), "test", 100)
    assert found.real_nvp is None and found.pixel_rnn is None
    assert "3.49 is on other images than the first 100 of 10000" in found.remark
    assert paper_results(data("cifar10", 1000, 10_000), "test", 10_000).real_nvp


def test_a_conditional_flow_is_not_compared_with_an_unconditional_one():
    found = paper_results(data("cifar10", 1000, 10_000, conditional=True), "test")
    assert found.title == "CIFAR-10, test, conditional"
    assert found.real_nvp is None
    assert "not given the classes" in found.remark


def test_data_that_the_paper_did_not_use_have_no_figure():
    found = paper_results(data("photos", 256, 512), "test")
    assert (found.title, found.real_nvp) == ("photos, test", None)
