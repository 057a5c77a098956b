"""The figures of a trained flow: pictures with numbers beside them."""

from tfp_realnvp.figures.recipes.figure import Figure, Number, Subject
from tfp_realnvp.figures.recipes.table import RECIPES
from tfp_realnvp.figures.recipes.write import write_figures

__all__ = ["RECIPES", "Figure", "Number", "Subject", "write_figures"]
