"""Names to choose from, here so that the command line needs no TensorFlow to check."""

AUGMENT = ("flip",)
CROPS = ("center", "random", "none")
DATA_SETS = (
    "digits",
    "photos",
    "cifar10",
    "imagenet32",
    "imagenet64",
    "celeb_a",
    "lsun_bedroom",
    "lsun_church_outdoor",
    "lsun_tower",
)
FIGURES = (
    "samples",
    "manifold",
    "interpolation",
    "compression",
    "animation",
    "attribute_change",
    "extrapolation",
)
MEMORY = ("stored", "recompute")
ON_NON_FINITE = ("stop", "skip")
PRESETS = (
    "cifar10",
    "cifar10-plus",
    "cifar10-small",
    "imagenet32",
    "imagenet64",
    "celeba",
    "lsun_bedroom",
    "lsun_church_outdoor",
    "lsun_tower",
    "digits",
)
SCHEDULES = ("constant", "cosine", "trapezoid")
SPLITS = ("train", "validation", "test")
STRATEGIES = ("auto", "none", "mirrored", "multiworker")
WEIGHTS = ("last", "best", "average")
