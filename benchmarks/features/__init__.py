"""What Real NVP libraries can do, found out by running them.

No framework is imported here: the parent process reads this too.
"""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Library:
    """A column of the table.

    Attributes:
      module: What prepares it, in this folder; has a `SUBJECT`.
      imports: What must be there to import.
      packages: Whose versions are to be told.
    """

    module: str
    imports: tuple[str, ...]
    packages: tuple[str, ...]


_TFP = ("tensorflow", "tensorflow_probability", "tf_keras")
_TFP_PACKAGES = ("tensorflow", "tensorflow-probability", "keras", "tf-keras")

IMAGE_PEER = "chrischute/real-nvp"
LIBRARIES = {
    "tfp_realnvp": Library("ours", _TFP, ("tfp-realnvp", *_TFP_PACKAGES)),
    "tfb.RealNVP": Library("tfp_real_nvp", _TFP, _TFP_PACKAGES),
    "tfb.Glow": Library("tfp_glow", _TFP, _TFP_PACKAGES),
    "nflows": Library("with_nflows", ("nflows", "torch"), ("nflows", "torch")),
    "normflows": Library(
        "with_normflows", ("normflows", "torch"), ("normflows", "torch")
    ),
    "zuko": Library("with_zuko", ("zuko", "torch"), ("zuko", "torch")),
    IMAGE_PEER: Library("image_peer", ("torch",), ("torch",)),
}
