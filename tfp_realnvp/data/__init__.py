"""Images to train on."""

from tfp_realnvp.data.image_data import ImageData
from tfp_realnvp.data.image_split import ImageSplit
from tfp_realnvp.data.load import load_images

__all__ = ["ImageData", "ImageSplit", "load_images"]
