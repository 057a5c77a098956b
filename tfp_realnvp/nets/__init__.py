"""Networks of the couplings: Keras layers that know nothing of bijectors."""

from tfp_realnvp.nets.batch_norm import BatchMoments, BatchNormalization
from tfp_realnvp.nets.mlp import MLP
from tfp_realnvp.nets.resnet import ResidualBlock, ResNet
from tfp_realnvp.nets.shift_and_log_scale import ShiftAndLogScale
from tfp_realnvp.nets.weight_norm import WeightNormConv2D

__all__ = [
    "MLP",
    "BatchMoments",
    "BatchNormalization",
    "ResNet",
    "ResidualBlock",
    "ShiftAndLogScale",
    "WeightNormConv2D",
]
