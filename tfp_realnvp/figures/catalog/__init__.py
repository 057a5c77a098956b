"""The figures of a trained flow: pictures with numbers beside them."""

from tfp_realnvp.figures.catalog.figure import Figure, Number, Subject
from tfp_realnvp.figures.catalog.table import CATALOG
from tfp_realnvp.figures.catalog.write import write_figures

__all__ = ["CATALOG", "Figure", "Number", "Subject", "write_figures"]
