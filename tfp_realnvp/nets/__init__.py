"""Networks of the couplings: Keras layers that know nothing of bijectors."""

from tfp_realnvp.nets.batch_moments import BatchMoments
from tfp_realnvp.nets.batch_norm import BatchNormalization
from tfp_realnvp.nets.channel_mixing import ChannelMixing
from tfp_realnvp.nets.mlp import MLP
from tfp_realnvp.nets.residual_block import ResidualBlock
from tfp_realnvp.nets.resnet import ResNet
from tfp_realnvp.nets.shift_and_log_scale import ShiftAndLogScale
from tfp_realnvp.nets.weight_norm import WeightNormConv2D

__all__ = [
    "MLP",
    "BatchMoments",
    "BatchNormalization",
    "ChannelMixing",
    "ResNet",
    "ResidualBlock",
    "ShiftAndLogScale",
    "WeightNormConv2D",
]
