import dataclasses

import pytest
from pixel_models import data

from tfp_realnvp.evaluation import Evaluation, paper_results
from tfp_realnvp.evaluation.paper_table import PAPER
from tfp_realnvp.evaluation.runs_evaluation import markdown_table

ONE = Evaluation(1, 10_000, 3, 3.6124, 0.0112, None, 0.0004)
CIFAR10 = data("cifar10", 1000, 10_000)


def test_the_test_images_of_cifar10_have_a_figure():
    found = paper_results(CIFAR10, "test")
    assert found[:3] == ("CIFAR-10, test", "3.49", "3.00")
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
    assert "3.02 is on all 19867 validation images of CelebA" in found.remark
    assert paper_results(faces, "validation").real_nvp == "3.02 (2.97)"


@pytest.mark.parametrize(
    ("found", "title"),
    [
        (
            paper_results(data("celeb_a", 72, 100, (64, 64, 3)), "train"),
            "celeb_a (not the paper's images), train",
        ),
        (
            paper_results(data("celeb_a", 19_867, 19_962, (32, 32, 3)), "validation"),
            "celeb_a (not the paper's images), validation",
        ),
        (paper_results(CIFAR10, "test", 100), "CIFAR-10, test"),
        (
            paper_results(data("cifar10", 1000, 10_000, conditional=True), "test"),
            "CIFAR-10, test, conditional",
        ),
        (paper_results(data("photos", 256, 512), "test"), "photos, test"),
    ],
)
def test_other_images_are_not_compared_with_the_papers(found, title):
    assert found[:3] == (title, None, None)
    assert "not on these" in found.remark or found.remark.endswith("on photos.")


def test_a_part_that_is_the_whole_has_its_figure():
    assert paper_results(CIFAR10, "test", 10_000).real_nvp


BOUND = {
    "importance_samples": 8,
    "bound_bits_per_dim": 3.6051,
    "bound_standard_error_over_images": 0.0113,
}


@pytest.mark.parametrize(
    ("changes", "cell", "below"),
    [
        ({}, "3.612 ± 0.011", "mean over 10000 images"),
        (
            {"flows": 3, "standard_error_over_seeds": 0.02},
            "3.612 ± 0.011 ± 0.020",
            "over the 3 training seeds",
        ),
        ({"images": 500}, "3.612 ± 0.011", "only the first of 10000 images"),
        (BOUND, "3.612 ± 0.011", "with 8 draws: 3.605 ± 0.011. It"),
        ({"standard_error_over_images": None}, "3.612", "- Bits/dim"),
    ],
)
def test_a_run_stands_beside_the_papers_figures_with_its_errors(changes, cell, below):
    evaluation = dataclasses.replace(ONE, **changes)
    table = markdown_table(CIFAR10, "test", evaluation, ["As told."])
    head, bar, row, blank, *lines = table.splitlines()
    assert bar.count("|") == head.count("|") == row.count("|") == 5 and blank == ""
    figures = "-- | --" if evaluation.images < 10_000 else "3.00 | 3.49"
    assert row == f"| CIFAR-10, test | {figures} | {cell} |"
    assert all(line.startswith("- ") for line in lines) and lines[-1] == "- As told."
    assert below in table
    assert ("only the first" in table) == (evaluation.images < 10_000)
    assert ("not what the paper reports" in table) == (changes is BOUND)
