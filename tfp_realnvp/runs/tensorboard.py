"""The course of training, for TensorBoard."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfp_realnvp.arguments import check_int
from tfp_realnvp.figures import image_grid, sample_images, to_uint8
from tfp_realnvp.figures.grid import enlargement
from tfp_realnvp.figures.latents import check_draws
from tfp_realnvp.flows.call_arguments import is_transformed
from tfp_realnvp.health.measures import RoundTrip, StatisticsGap
from tfp_realnvp.optional import require
from tfp_realnvp.training.dequantization import dequantized

_SAMPLES = 16
_RECONSTRUCTED = 8
_MEASURED = 64


class TensorBoard(keras.callbacks.Callback):
    """Writes what `tensorboard --logdir` shows of the training of a `FlowModel`.

    ```none
    train/...       every `every_steps` steps: the gradient's norm, and for transformed
                    distributions prior and log_det, of the last batch; loss,
                    bits_per_dim (or nll) and what else Keras logs, averaged over the
                    epoch so far; learning_rate
    validation/...  after every epoch, if `fit` has validation data
    health/...      after every epoch: round_trip_error and statistics_gap, see
                    `RoundTrip` and `StatisticsGap`
    samples, reconstructions
                    after every epoch: pictures; validation images are above what
                    became of them on the way to the latents and back
    ```

    Health and pictures are left out without `images`, and where the model's flow is
    not over pixels, is no `tfd.TransformedDistribution`, or takes a condition and none
    is given.

    Steps are the model's `step`, so that a resumed run goes on in the same folder. If
    it resumes from before what was written last, TensorBoard shows the later writing.
    With several workers only one should have the callback.

    Args:
      directory: Folder to write to.
      images: `uint8` array of validation images, of shape [N, height, width, channels],
        or `None`. Health is measured on the first 64, as one batch, and 8 are pictured.
      condition: Array of the images' labels or vectors, for a conditional flow; samples
        are drawn under the first 16.
      seed: Python `int`; the same latents are sampled after every epoch.
      temperature: Python `float`, see `sample_images`.
      every_steps: Python `int`.
      settings: Hyperparameters of the run by name, or `None`. What is no `str`, `int`,
        `float` or `bool` is written as `str`.

    Raises:
      ImportError: If tensorboard is not installed.
      ValueError: If an argument is not as described.
    """

    def __init__(
        self,
        directory: str | os.PathLike,
        *,
        images: np.ndarray | None,
        condition: np.ndarray | None = None,
        seed: int = 0,
        temperature: float = 1.0,
        every_steps: int = 10,
        settings: Mapping[str, Any] | None = None,
    ):
        super().__init__()
        if images is not None:
            _check_images(images)
        check_draws(seed, temperature)
        check_int("every_steps", every_steps)
        self._hparams = require(
            "tensorboard.plugins.hparams.api", "TensorBoard", extra="tensorboard"
        )
        self._directory = os.fspath(directory)
        self._images = images
        self._condition = condition
        self._seed = seed
        self._temperature = temperature
        self._every_steps = every_steps
        self._settings = None if settings is None else dict(settings)

    def on_train_begin(self, logs: Any = None) -> None:
        model = self.model
        images = self._images
        self._is_pictured = (
            images is not None
            and model.is_over_pixels
            and (model.condition_size is None) == (self._condition is None)
            and is_transformed(model.flow)
        )
        if images is not None and self._is_pictured:
            self._prepare_pictures(images)
        self._intervals = model.step // self._every_steps
        self._writer = tf.summary.create_file_writer(self._directory)
        if self._settings is not None:
            with self._writer.as_default():
                self._hparams.hparams(
                    {k: _as_setting(v) for k, v in self._settings.items()}
                )
        self._writer.flush()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        intervals = self.model.step // self._every_steps
        # With `steps_per_execution` a step may be passed over.
        if intervals == self._intervals:
            return
        self._intervals = intervals
        values = {
            **(logs or {}),
            **self.model.last_report,
            "learning_rate": self.model.optimizer.learning_rate,
        }
        self._write_scalars("train", values)
        # A checkpoint may follow, and a run that goes on from it leaves no gap.
        self._writer.flush()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        validation = {
            name.removeprefix("val_"): value
            for name, value in (logs or {}).items()
            if name.startswith("val_")
        }
        self._write_scalars("validation", validation)
        if self._is_pictured:
            self._write_health_and_pictures()
        self._writer.flush()

    def on_train_end(self, logs: Any = None) -> None:
        self._writer.close()

    def _prepare_pictures(self, images: np.ndarray) -> None:
        flow = self.model.flow
        if images.shape[1:] != tuple(flow.event_shape):
            raise ValueError(
                f"images: expected images of shape {tuple(flow.event_shape)}, got "
                f"{images.shape[1:]}."
            )
        self._originals = images[:_RECONSTRUCTED]
        measured = tf.cast(images[:_MEASURED], flow.dtype)
        self._events = dequantized(measured, tf.constant([0, self._seed]))
        self._round_trip = RoundTrip(flow)
        self._statistics_gap = StatisticsGap(self.model)

    def _write_health_and_pictures(self) -> None:
        condition = self._condition
        of_measured = None if condition is None else condition[:_MEASURED]
        running, batch = self._statistics_gap.scores(self._events, of_measured)
        reconstructed = self._round_trip.reconstruct(self._events, of_measured)
        error = np.max(np.abs(reconstructed - self._events))
        gap = running.mean() - batch.mean()
        self._write_scalars(
            "health", {"round_trip_error": error, "statistics_gap": gap}
        )
        samples = sample_images(
            self.model.flow,
            _SAMPLES if condition is None else len(condition[:_SAMPLES]),
            seed=self._seed,
            temperature=self._temperature,
            condition=None if condition is None else condition[:_SAMPLES],
        )
        self._write_grid("samples", samples, columns=4)
        pairs = [self._originals, to_uint8(reconstructed[:_RECONSTRUCTED].numpy())]
        self._write_grid(
            "reconstructions", np.concatenate(pairs), columns=len(self._originals)
        )

    def _write_scalars(self, group: str, values: Mapping[str, Any]) -> None:
        with self._writer.as_default(step=self.model.step):
            for name, value in values.items():
                # A learning rate can be spread over replicas.
                number = float(tf.convert_to_tensor(value))
                tf.summary.scalar(f"{group}/{name}", number)

    def _write_grid(self, name: str, images: np.ndarray, *, columns: int) -> None:
        grid = image_grid(images, columns=columns, scale=enlargement(images), gap=2)
        with self._writer.as_default(step=self.model.step):
            tf.summary.image(name, grid[np.newaxis])


def _check_images(images: np.ndarray) -> None:
    if images.dtype != np.uint8 or images.ndim != 4 or len(images) == 0:
        raise ValueError(
            "images: expected uint8 of shape (N, height, width, channels) with N > 0, "
            f"got {images.dtype} of shape {images.shape}."
        )


def _as_setting(value: Any) -> bool | int | float | str:
    return value if isinstance(value, bool | int | float | str) else str(value)
