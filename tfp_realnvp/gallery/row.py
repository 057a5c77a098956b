"""What the page shows of one run."""

from __future__ import annotations

import dataclasses

import numpy as np

from tfp_realnvp.arguments import check_text, checked_array


@dataclasses.dataclass(frozen=True)
class Row:
    """A row of the gallery.

    Each picture is a `uint8` array of shape [height, width, 1 or 3], or a `str` that
    says why there is none.

    Attributes:
      title: Python `str`, name of the run.
      caption: Python `str`, a line of facts about it.
      examples: Images that the flow was not trained on.
      samples: Images drawn from it.
      samples_2x: The same at twice the height and width.
      samples_10x: The same at ten times the height and width.
      information_loss: Images of which it has forgotten more and more.
      manifold: Frames of an animation, shape [frames, height, width, 1 or 3].

    Raises:
      ValueError: If a picture is of another type or shape.
    """

    title: str
    caption: str
    examples: np.ndarray | str
    samples: np.ndarray | str
    samples_2x: np.ndarray | str
    samples_10x: np.ndarray | str
    information_loss: np.ndarray | str
    manifold: np.ndarray | str

    def __post_init__(self) -> None:
        check_text("title", self.title)
        check_text("caption", self.caption)
        for field in dataclasses.fields(self)[2:]:
            picture = getattr(self, field.name)
            if isinstance(picture, str):
                continue
            expected = "[height, width, 1 or 3]"
            rank = 3
            if field.name == "manifold":
                expected, rank = "[frames, height, width, 1 or 3]", 4
            shape = checked_array(
                field.name, picture, expected=f"uint8 of shape {expected}"
            ).shape
            fits = len(shape) == rank and 0 not in shape and shape[-1] in (1, 3)
            if not fits or getattr(picture, "dtype", None) != np.uint8:
                raise ValueError(
                    f"{field.name}: expected uint8 of shape {expected}, or words that "
                    f"say why there is no picture; got "
                    f"{getattr(picture, 'dtype', type(picture).__name__)} of shape "
                    f"{shape}."
                )
