"""Pictures: functions that return arrays, and writers of PNG files."""

from tfp_realnvp.figures.attributes import change_attributes, shuffled_numbers
from tfp_realnvp.figures.catalog import write_figures
from tfp_realnvp.figures.figure import Figure, Subject
from tfp_realnvp.figures.latent_space import (
    conceptual_compression,
    interpolations,
    kept_fractions,
    latent_manifold,
    manifold_animation,
)
from tfp_realnvp.figures.latents import (
    decode_latents,
    encode_images,
    image_bits_per_dim,
)
from tfp_realnvp.figures.pictures import (
    image_grid,
    psnr,
    samples_beside_data,
    to_uint8,
    write_animation,
    write_learning_curve,
    write_png,
)
from tfp_realnvp.figures.samples import extrapolated_samples, sample_images

__all__ = [
    "Figure",
    "Subject",
    "change_attributes",
    "conceptual_compression",
    "decode_latents",
    "encode_images",
    "extrapolated_samples",
    "image_bits_per_dim",
    "image_grid",
    "interpolations",
    "kept_fractions",
    "latent_manifold",
    "manifold_animation",
    "psnr",
    "sample_images",
    "samples_beside_data",
    "shuffled_numbers",
    "to_uint8",
    "write_animation",
    "write_figures",
    "write_learning_curve",
    "write_png",
]
