import dataclasses

from pixel_models import data

from tfp_realnvp.evaluation.evaluation import Evaluation
from tfp_realnvp.evaluation.evaluation_table import markdown_table

ONE = Evaluation(1, 10_000, 3, 3.6124, 0.0112, None, 0.0004)


def rows(table):
    head, bar, row, blank, *below = table.splitlines()
    assert bar.count("|") == head.count("|") == row.count("|") == 5
    assert blank == "" and all(line.startswith("- ") for line in below)
    return row, "\n".join(below)


def test_a_run_stands_beside_the_papers_figures_with_its_error():
    table = markdown_table(data("cifar10", 1000, 10_000), "test", ONE, ["As told."])
    row, below = rows(table)
    assert row == "| CIFAR-10, test | 3.00 | 3.49 | 3.612 ± 0.011 |"
    assert "10000 images" in below and "standard error over images." in below
    assert "only the first" not in below and "bound" not in below
    assert below.endswith("- As told.")


def test_several_seeds_have_an_error_of_their_own():
    several = dataclasses.replace(ONE, flows=3, standard_error_over_seeds=0.02)
    row, below = rows(markdown_table(data("cifar10", 1000, 10_000), "test", several))
    assert row.endswith("| 3.612 ± 0.011 ± 0.020 |")
    assert "over images, then over the 3 training seeds" in below


def test_a_part_of_a_split_is_said_to_be_one():
    some = dataclasses.replace(ONE, images=500)
    _, below = rows(markdown_table(data("cifar10", 1000, 10_000), "test", some))
    assert "only the first of 10000 images" in below


def test_the_bound_is_said_to_be_no_figure_of_the_paper():
    bound = dataclasses.replace(
        ONE,
        importance_samples=8,
        bound_bits_per_dim=3.6051,
        bound_standard_error_over_images=0.0113,
    )
    row, below = rows(markdown_table(data("cifar10", 1000, 10_000), "test", bound))
    assert row.endswith("| 3.612 ± 0.011 |")
    assert "with 8 draws: 3.605 ± 0.011" in below
    assert "not what the paper reports" in below


def test_a_single_image_has_no_error():
    single = dataclasses.replace(ONE, images=1, standard_error_over_images=None)
    row, below = rows(markdown_table(data("photos", 256, 512), "test", single))
    assert row == "| photos, test | -- | -- | 3.612 |"
    assert "±" not in below
