"""The course of training, for TensorBoard."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfp_realnvp.figures import image_grid, sample_images, to_uint8
from tfp_realnvp.health.measures import round_trip, scores_by_statistics
from tfp_realnvp.training.dequantization import dequantized

_SAMPLES = 16
_RECONSTRUCTED = 8
_MEASURED = 64


class TensorBoard(keras.callbacks.Callback):
    """Writes what `tensorboard --logdir` shows of the training of a `FlowModel`.

    ```none
    train/...       every `every_steps` steps: the gradient's norm, prior and log_det of
                    the last batch; loss, bits_per_dim (or nll) and what else Keras
                    logs, averaged over the epoch so far; learning_rate
    validation/...  after every epoch, if `fit` has validation data
    health/...      after every epoch: round_trip_error and statistics_gap of 64 images
    samples, reconstructions
                    after every epoch: pictures; validation images are above what
                    became of them on the way to the latents and back
    ```

    Steps are the model's `step`, so that a resumed run goes on in the same folder.
    Without `images`, `uint8` and with their condition if the flow takes one, health and
    pictures are left out. The same latents are sampled after every epoch.
    """

    def __init__(
        self,
        directory: str | os.PathLike,
        *,
        images: np.ndarray | None,
        condition: np.ndarray | None = None,
        seed: int = 0,
        every_steps: int = 10,
    ):
        super().__init__()
        self._directory = os.fspath(directory)
        self._images, self._condition = images, condition
        self._seed, self._every_steps = seed, every_steps

    def on_train_begin(self, logs: Any = None) -> None:
        model = self.model
        if self._images is not None:
            self._round_trip = round_trip(model.flow)
            self._scores = scores_by_statistics(model)
        self._intervals = model.step // self._every_steps
        self._writer = tf.summary.create_file_writer(self._directory)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        intervals = self.model.step // self._every_steps
        # With `steps_per_execution` a step may be passed over.
        if intervals == self._intervals:
            return
        self._intervals = intervals
        rate = {"learning_rate": self.model.optimizer.learning_rate}
        self._write("train", {**(logs or {}), **self.model.last_report, **rate})
        # A checkpoint may follow, and a run that goes on from it leaves no gap.
        self._writer.flush()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        validation = {
            name.removeprefix("val_"): value
            for name, value in (logs or {}).items()
            if name.startswith("val_")
        }
        self._write("validation", validation)
        if self._images is not None:
            self._write_health_and_pictures(self._images, self._condition)
        self._writer.flush()

    def on_train_end(self, logs: Any = None) -> None:
        self._writer.close()

    def _write_health_and_pictures(
        self, images: np.ndarray, condition: np.ndarray | None
    ) -> None:
        flow = self.model.flow
        measured = tf.cast(images[:_MEASURED], flow.dtype)
        events = dequantized(measured, tf.constant([0, self._seed]))
        of_measured = None if condition is None else condition[:_MEASURED]
        running, batch = self._scores(events, of_measured)
        found = self._round_trip(events, of_measured)
        health = {
            "round_trip_error": np.max(np.abs(found - events)),
            "statistics_gap": running.mean() - batch.mean(),
        }
        self._write("health", health)
        samples = sample_images(
            flow,
            _SAMPLES if condition is None else len(condition[:_SAMPLES]),
            seed=self._seed,
            condition=None if condition is None else condition[:_SAMPLES],
        )
        self._write_grid("samples", samples, columns=4)
        originals = images[:_RECONSTRUCTED]
        pairs = [originals, to_uint8(found[:_RECONSTRUCTED].numpy())]
        self._write_grid(
            "reconstructions", np.concatenate(pairs), columns=len(originals)
        )

    def _write(self, group: str, values: Mapping[str, Any]) -> None:
        with self._writer.as_default(step=self.model.step):
            for name, value in values.items():
                # A learning rate can be spread over replicas.
                number = float(tf.convert_to_tensor(value))
                tf.summary.scalar(f"{group}/{name}", number)

    def _write_grid(self, name: str, images: np.ndarray, *, columns: int) -> None:
        grid = image_grid(images, columns=columns, scale=None, gap=2)
        with self._writer.as_default(step=self.model.step):
            tf.summary.image(name, grid[np.newaxis])
