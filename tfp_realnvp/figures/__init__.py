"""Pictures: functions that return arrays, and writers of PNG files."""

from tfp_realnvp.figures.animation import write_animation
from tfp_realnvp.figures.attribute_change import change_attributes, shuffled_numbers
from tfp_realnvp.figures.classifier import predict_conditions, train_classifier
from tfp_realnvp.figures.compression import conceptual_compression, kept_fractions
from tfp_realnvp.figures.extrapolation import extrapolated_samples
from tfp_realnvp.figures.grid import image_grid, to_uint8, write_png
from tfp_realnvp.figures.interpolation import interpolations
from tfp_realnvp.figures.latents import decode_latents, encode_images
from tfp_realnvp.figures.learning_curve import write_learning_curve
from tfp_realnvp.figures.manifold import latent_manifold, manifold_animation
from tfp_realnvp.figures.measures import image_bits_per_dim, psnr
from tfp_realnvp.figures.memory import estimated_bytes
from tfp_realnvp.figures.samples import sample_images, samples_beside_data

__all__ = [
    "change_attributes",
    "conceptual_compression",
    "decode_latents",
    "encode_images",
    "estimated_bytes",
    "extrapolated_samples",
    "image_bits_per_dim",
    "image_grid",
    "interpolations",
    "kept_fractions",
    "latent_manifold",
    "manifold_animation",
    "predict_conditions",
    "psnr",
    "sample_images",
    "samples_beside_data",
    "shuffled_numbers",
    "to_uint8",
    "train_classifier",
    "write_animation",
    "write_learning_curve",
    "write_png",
]
