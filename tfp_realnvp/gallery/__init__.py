"""Web pages about trained flows, each in one file that needs no network."""

from tfp_realnvp.gallery.page import Row, draw_row, gallery_page

__all__ = ["Row", "draw_row", "gallery_page"]
