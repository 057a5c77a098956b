"""What one training run is given, and what it leaves behind."""

from __future__ import annotations

import dataclasses
import pathlib


@dataclasses.dataclass(frozen=True)
class Task:
    """One training run.

    Attributes:
      arm: Name in `ARMS`.
      seed: Of weights, order of the images and noise.
      filters: Feature maps of the first couplings' networks.
      num_blocks: Residual blocks of every network.
      updates: Number of updates, or `None`.
      minutes: Time of training, compilation included, or `None`; one of the two.
      batch_size: Images in an update.
      images: Test images to score.
      data_dir: Folder of prepared TFDS data.
      image_peer: Checkout of the PyTorch flow, or `None`.
    """

    arm: str
    seed: int
    filters: int
    num_blocks: int
    updates: int | None
    minutes: float | None
    batch_size: int
    images: int
    data_dir: str | None
    image_peer: str | None

    def path(self, folder: pathlib.Path) -> pathlib.Path:
        """Returns where the run's log lies in the folder of all."""
        return folder / "runs" / f"{self.arm.replace(' ', '_')}-{self.seed}.json"
