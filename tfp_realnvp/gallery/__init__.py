"""A web page of what trained flows make, in one file that needs no network."""

from tfp_realnvp.gallery.page import gallery_page
from tfp_realnvp.gallery.row import Row

__all__ = ["Row", "gallery_page"]
