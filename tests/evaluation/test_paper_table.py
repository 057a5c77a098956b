import dataclasses

import pytest
from pixel_models import data

from tfp_realnvp.evaluation import Evaluation, paper_results
from tfp_realnvp.evaluation.runs_evaluation import markdown_table

ONE = Evaluation(1, 10_000, 3, 3.6124, 0.0112, None, 0.0004)
CIFAR10 = data("cifar10", 1000, 10_000)


def of(name, validation, test, shape=(64, 64, 3)):
    return data(name, validation, test, shape)


@pytest.mark.parametrize(
    ("images", "split", "figures"),
    [
        (CIFAR10, "test", ("CIFAR-10, test", "3.49", "3.00")),
        (CIFAR10, "train", ("CIFAR-10, train", None, None)),
        (of("celeb_a", 19_867, 19_962), "validation", "3.02 (2.97)"),
        (of("celeb_a", 19_867, 19_962), "train", "(2.97)"),
        # The paper has no figure on these.
        (of("celeb_a", 19_867, 19_962), "test", None),
        (of("imagenet32", 500, 49_999, (32, 32, 3)), "test", "4.28 (4.26)"),
        (of("imagenet32", 500, 49_999, (32, 32, 3)), "validation", None),
        (of("imagenet64", 500, 49_999), "test", "3.98 (3.75)"),
        (of("lsun_bedroom", 500, 300), "test", "2.72 (2.70)"),
        (of("lsun_tower", 500, 300), "test", "2.81 (2.78)"),
        (of("lsun_church_outdoor", 500, 300), "test", "3.08 (2.94)"),
        (
            of("celeb_a", 72, 100),
            "train",
            ("celeb_a (not the paper's images), train", None, None),
        ),
        (of("celeb_a", 19_867, 19_962, (32, 32, 3)), "validation", None),
        (
            data("cifar10", 1000, 10_000, conditional=True),
            "test",
            ("CIFAR-10, test, conditional", None, None),
        ),
        (data("photos", 256, 512), "test", ("photos, test", None, None)),
    ],
)
def test_the_papers_figures_are_told_on_its_very_images_alone(images, split, figures):
    found = paper_results(images, split)
    assert figures in (found[:3], found.real_nvp)
    if found.real_nvp is None:
        assert "not on these" in found.remark or found.remark.endswith("on photos.")
    else:
        assert "arXiv:1605.08803" in found.remark


def test_a_part_that_is_the_whole_has_its_figure():
    assert paper_results(CIFAR10, "test", 10_000).real_nvp == "3.49"
    assert paper_results(CIFAR10, "test", 100)[:3] == ("CIFAR-10, test", None, None)


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
