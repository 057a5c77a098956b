"""Figures of what a flow draws: samples, also larger than the data."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tfp_realnvp.figures.catalog.common import BITS, bits, rows_of
from tfp_realnvp.figures.catalog.figure import Figure, Number, Subject
from tfp_realnvp.figures.extrapolation import (
    check_fits,
    enlarged,
    extrapolated_samples,
    has_default_base,
)
from tfp_realnvp.figures.measures import image_bits_per_dim
from tfp_realnvp.figures.memory import estimated_bytes
from tfp_realnvp.figures.samples import sample_images, samples_beside_data

# Up to this factor four pictures are drawn, beyond it one, of a single scale.
_FOUR_UP_TO = 4


def samples(subject: Subject) -> Iterator[Figure]:
    """Yields samples beside test images (Fig. 5), a class in each column."""
    numbers, is_by_class = _numbers_by_class(subject)
    data, condition = subject.examples(int(numbers.max()) + 1)
    data = data[numbers]
    condition = None if condition is None else condition[numbers]
    drawn = sample_images(
        subject.flow,
        len(data),
        seed=subject.seed,
        temperature=subject.temperature,
        condition=condition,
    )
    described = "Test images left, samples right."
    if is_by_class:
        described += f" A class in each column: {', '.join(subject.names)}."
    elif condition is not None:
        described += " Each sample is under the condition of the image in its place."
    yield Figure(
        "samples",
        samples_beside_data(
            data,
            drawn,
            columns=subject.classes if is_by_class else min(8, len(data)),
            headings=subject.names if is_by_class else (),
        ),
        f"{described} Temperature {subject.temperature:g}.",
        {
            "data_bits_per_dim": Number.mean(
                bits(subject, data, condition), BITS, "of the test images shown"
            ),
            "sample_bits_per_dim": Number.mean(
                bits(subject, drawn, condition), BITS, "of the samples"
            ),
        },
    )


def extrapolation(subject: Subject) -> Iterator[Figure]:
    """Yields, for each factor, samples that are so many times larger (App. C)."""
    for factor in subject.factors:
        yield _larger(subject, factor)


def extrapolation_obstacle(subject: Subject) -> str | None:
    """Returns why there are no larger samples, or `None`; checks the memory."""
    if not has_default_base(subject.flow):
        return "its base distribution is known for images of its own size alone"
    for factor in subject.factors:
        check_fits(subject.flow, factor, count=_pictures(subject, factor))
    return None


def _larger(subject: Subject, factor: int) -> Figure:
    count = _pictures(subject, factor)
    _, condition = subject.examples(count)
    drawn = extrapolated_samples(
        subject.flow,
        count,
        factor=factor,
        seed=subject.seed,
        temperature=subject.temperature,
        condition=condition,
    )
    height, width = drawn.shape[1:3]
    costs = image_bits_per_dim(
        enlarged(subject.flow, factor),
        drawn,
        condition=condition,
        seed=subject.seed,
        batch_size=1,
    )
    described = f"Samples of {height} x {width} pixels, {factor} times as high and wide"
    if condition is not None:
        described += ", under the conditions of the first test images"
    return Figure(
        f"extrapolation_{factor}x",
        rows_of(drawn, columns=min(2, count), side=subject.flow.event_shape[0]),
        f"{described}. Temperature {subject.temperature:g}.",
        {
            "bits_per_dim": Number.mean(costs, BITS, "of these pictures"),
            "estimated_memory": Number(
                estimated_bytes(subject.flow, height, width, count=count) / 2**20,
                "MiB",
                "what drawing them was estimated to take",
            ),
        },
    )


def _pictures(subject: Subject, factor: int) -> int:
    return min(subject.count, 4 if factor <= _FOUR_UP_TO else 1)


def _numbers_by_class(subject: Subject) -> tuple[np.ndarray, bool]:
    """Returns the numbers of test images to show, and whether columns are classes."""
    if subject.is_by_class:
        labels = subject.data.test.conditions
        classes = [np.flatnonzero(labels == k) for k in range(subject.classes)]
        rows = min(subject.count // len(classes), *map(len, classes))
        if rows > 0:
            return np.stack([found[:rows] for found in classes], axis=1).ravel(), True
    return np.arange(subject.count), False
