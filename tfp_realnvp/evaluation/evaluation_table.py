"""Bits/dim beside those of the paper, as a table in Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from tfp_realnvp.data.image_data import ImageData
from tfp_realnvp.evaluation.evaluation import Evaluation
from tfp_realnvp.evaluation.paper_table import paper_results

_NONE = "--"


def markdown_table(
    data: ImageData, split: str, evaluation: Evaluation, remarks: Sequence[str] = ()
) -> str:
    """Returns a table of one row beside the paper's, and below what to know of it.

    Args:
      data: The data set, with conditions if the flow takes them.
      split: Python `str`, `"train"`, `"validation"` or `"test"`.
      evaluation: What was found on that split.
      remarks: Python `str`s, more to say below the table.

    #### Example

    ```python
    >>> from tfp_realnvp.data import load_images
    >>> from tfp_realnvp.evaluation.evaluation import Evaluation
    >>> from tfp_realnvp.evaluation.evaluation_table import markdown_table
    >>> found = Evaluation(1, 300, 3, 4.0712, 0.0123, None, 0.001)
    >>> table = markdown_table(load_images("digits"), "test", found)
    >>> print(table.splitlines()[2])
    | digits, test | -- | -- | 4.071 ± 0.012 |

    ```
    """
    paper = paper_results(data, split, evaluation.images)
    below = [_explained(evaluation)]
    count = getattr(data, split).count
    if evaluation.images < count:
        below.append(f"These are only the first of {count} images.")
    if evaluation.importance_samples is not None:
        below.append(_bound_explained(evaluation))
    found = _with_errors(
        evaluation.bits_per_dim,
        evaluation.standard_error_over_images,
        evaluation.standard_error_over_seeds,
    )
    lines = [
        "| data | Pixel RNN, paper | Real NVP, paper | Real NVP, here |",
        "| --- | --- | --- | --- |",
        f"| {paper.title} | {paper.pixel_rnn or _NONE} | {paper.real_nvp or _NONE} | "
        f"{found} |",
        "",
        *(f"- {line}" for line in [*below, paper.remark, *remarks]),
    ]
    return "\n".join(lines)


def _with_errors(*mean_and_errors: float | None) -> str:
    return " ± ".join(f"{v:.3f}" for v in mean_and_errors if v is not None)


def _explained(evaluation: Evaluation) -> str:
    sampled = {
        "images": evaluation.standard_error_over_images,
        f"the {evaluation.flows} training seeds": evaluation.standard_error_over_seeds,
    }
    known = [name for name, error in sampled.items() if error is not None]
    errors = f"; ± is the standard error over {', then over '.join(known)}"
    return (
        f"Bits/dim, mean over {evaluation.images} images (draws of the noise for "
        f"each: {evaluation.draws}){errors if known else ''}."
    )


def _bound_explained(evaluation: Evaluation) -> str:
    bound = _with_errors(
        evaluation.bound_bits_per_dim,
        evaluation.bound_standard_error_over_images,
        evaluation.bound_standard_error_over_seeds,
    )
    return (
        f"Importance-weighted bound with {evaluation.importance_samples} draws: "
        f"{bound}. It bounds the likelihood of the discrete images more tightly, and "
        "is not what the paper reports."
    )
