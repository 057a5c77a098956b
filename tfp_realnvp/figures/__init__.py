"""Pictures: functions that return arrays, and writers of PNG files."""

from tfp_realnvp.figures.grid import image_grid, to_uint8, write_png
from tfp_realnvp.figures.learning_curve import write_learning_curve
from tfp_realnvp.figures.samples import sample_images, samples_beside_data

__all__ = [
    "image_grid",
    "sample_images",
    "samples_beside_data",
    "to_uint8",
    "write_learning_curve",
    "write_png",
]
