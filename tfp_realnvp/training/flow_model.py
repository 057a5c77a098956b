"""Maximum likelihood with Keras `fit`."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tfp_realnvp.arguments import check_flag, check_path
from tfp_realnvp.files import atomic_path
from tfp_realnvp.training.functions import counted_batches
from tfp_realnvp.training.inputs import check_arguments, check_data, for_keras, unpack
from tfp_realnvp.training.non_finite import NonFinitePolicy
from tfp_realnvp.training.step import StepModel
from tfp_realnvp.training.update import check_decay, check_optimizer


@keras.saving.register_keras_serializable(package="tfp_realnvp")
class FlowModel(StepModel):
    """Trains a flow, or any other distribution, by maximum likelihood.

    ```none
    loss = mean(-log_prob(x | condition)) + penalties of the layers
    ```

    If the flow is over pixels (its last bijector is `PixelLogit`), `x` are images with
    values in [0, 256); loss and the metric `bits_per_dim` are in bits per dimension.
    To integer images the model adds uniform dequantization noise in [0, 1) (Section
    4.1), new at every training step and the same at every evaluation. Otherwise `x`
    are events of the flow, and loss and the metric `nll` are in nats.

    `fit`, `evaluate` and `predict` take arrays or `tf.data.Dataset`s of batches. Layers
    normalize by batch statistics in `fit` and by their moving averages everywhere else.

    For a conditional flow, `condition` holds labels of an integer dtype and shape [N],
    or vectors of shape [N, condition_size]; a data set holds pairs (x, condition).
    `sample_weight`, or a data set of (x, condition or `None`, sample_weight), makes the
    mean a weighted one.

    All trainable variables of the distribution are trained, those of its base included.
    `save("model.keras")` and `keras.saving.load_model` restore the distribution if it
    consists of public classes of TFP and this package.

    Args:
      flow: `tfd.Distribution` with a static event shape and no batch shape, from
        `image_flow`, or a `tfd.TransformedDistribution`.
      seed: Python `int` or `None`, seeds the noise added to integer images.
      name: Python `str`.

    Raises:
      TypeError: If `flow` is not a `tfd.Distribution`.
      ValueError: If it is a batch of distributions, or contains conditional or
        batch-normalized flows to which it does not pass `condition` and `training`, as
        a mixture does.

    #### Example

    ```python
    >>> import numpy as np
    >>> import tfp_realnvp as nvp
    >>> images = np.zeros([16, 8, 8, 1], np.uint8)
    >>> sizes = {"num_scales": 1, "filters": 8, "num_blocks": 1}
    >>> flow = nvp.image_flow(event_shape=(8, 8, 1), **sizes)
    >>> model = nvp.FlowModel(flow, seed=0)
    >>> model.compile()
    >>> history = model.fit(images, batch_size=8, verbose=0)
    >>> sorted(history.history)
    ['bits_per_dim', 'loss']

    ```
    """

    def __init__(
        self,
        flow: tfd.Distribution,
        *,
        seed: int | None = None,
        name: str = "flow_model",
    ):
        super().__init__(flow, seed=seed, name=name)

    def compile(
        self,
        optimizer: Any = None,
        *,
        jit_compile: bool | Literal["auto"] = False,
        on_non_finite: Literal["stop", "skip"] = "stop",
        max_skipped_in_a_row: int = 10,
        average_decay: float | None = None,
        **kwargs: Any,
    ) -> None:
        """Configures training like `keras.Model.compile`, with different defaults.

        A step whose loss or gradient is NaN or infinite leaves weights, moving averages
        and the optimizer unchanged.

        Args:
          optimizer: Keras optimizer; `None` is the paper's Adam with default
            hyperparameters, with gradients clipped to a global norm of 100. With
            `gradient_accumulation_steps`, weights are updated once in that many
            batches; batch normalization still uses the moments of single batches.
          jit_compile: Python `bool`, whether XLA compiles the steps; `"auto"` is
            `False`, as XLA's convolutions are slower than TensorFlow's on CPUs.
          on_non_finite: `"stop"` raises `FloatingPointError` at the first such step,
            naming the layer where it arose; `"skip"` prints this and continues.
          max_skipped_in_a_row: Python `int`, how many consecutive skipped steps end
            training with the same error.
          average_decay: Python `float` in (0, 1), decay of an exponential moving
            average of the weights, see `averaged_weights`; `None` keeps no average.
          **kwargs: Passed to `keras.Model.compile`.

        Raises:
          ValueError: If a loss or metrics are given (the model has its own), or an
            argument is invalid.
        """
        check_arguments(kwargs)
        policy = NonFinitePolicy(on_non_finite, max_skipped_in_a_row)
        if isinstance(jit_compile, str) and jit_compile == "auto":
            jit_compile = False
        check_flag("jit_compile", jit_compile)
        check_optimizer(optimizer, self.distribute_strategy, jit_compile)
        check_decay(average_decay)
        self._compile(optimizer, jit_compile, policy, average_decay, kwargs)
        self._own_compile_config = {
            "on_non_finite": on_non_finite,
            "max_skipped_in_a_row": max_skipped_in_a_row,
            "average_decay": average_decay,
        }

    def get_compile_config(self) -> dict[str, Any] | None:
        config = super().get_compile_config()
        if not config:
            return config
        config = {k: v for k, v in config.items() if k != "weighted_metrics"}
        return {**config, **self._own_compile_config}

    def compile_from_config(self, config: dict[str, Any]) -> None:
        self.compile(**keras.saving.deserialize_keras_object(config))

    def fit(
        self,
        x: Any = None,
        condition: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: Any = "auto",
        **kwargs: Any,
    ) -> keras.callbacks.History:
        """Trains like `keras.Model.fit`. Invalid arrays raise before any training."""
        kwargs.update(batch_size=batch_size, epochs=epochs, verbose=verbose)
        given = self._prepared(x, condition, "steps_per_epoch", kwargs)
        held_out = given.pop("validation_data", None)
        if held_out is not None:
            x, y, weight = keras.utils.unpack_x_y_sample_weight(held_out)
            others = {"validation_steps": given.get("validation_steps")}
            others["sample_weight"] = weight
            parts = self._prepared(x, y, "validation_steps", others)
            names = ("x", "y", "sample_weight")
            given["validation_data"] = tuple(map(parts.get, names))
        if isinstance(given["x"], tf.data.Dataset):
            # Keras's default, True, warns that a data set shuffles itself.
            given.setdefault("shuffle", False)
        return super().fit(**given)

    def evaluate(
        self,
        x: Any = None,
        condition: Any = None,
        batch_size: int | None = None,
        verbose: Any = "auto",
        **kwargs: Any,
    ) -> Any:
        """Evaluates like `keras.Model.evaluate`, with the same noise every time.

        If a data set of vectors holds NaN, the mean is NaN.
        """
        kwargs.update(batch_size=batch_size, verbose=verbose)
        # Within `fit` the data are already prepared, and Keras has kept its iterator.
        if not kwargs.get("_use_cached_eval_dataset"):
            kwargs = self._prepared(x, condition, "steps", kwargs)
        with counted_batches():
            return super().evaluate(**kwargs)

    def predict(
        self,
        x: Any,
        condition: Any = None,
        batch_size: int | None = None,
        verbose: Any = "auto",
        **kwargs: Any,
    ) -> np.ndarray:
        """Returns `log_prob` in nats, with the same noise every time.

        Raises:
          FloatingPointError: If one of the values is NaN.
        """
        kwargs.update(batch_size=batch_size, verbose=verbose)
        given = self._prepared(x, condition, "steps", kwargs)
        # Keras's `predict` takes neither a condition nor weights.
        condition, _ = given.pop("y", None), given.pop("sample_weight", None)
        if condition is not None:
            given["x"] = {"x": given["x"], "condition": condition}
        with counted_batches():
            log_prob = super().predict(**given)
        is_nan = np.isnan(log_prob)
        if is_nan.any():
            raise FloatingPointError(
                "log_prob: expected numbers, got NaN for example "
                f"{int(np.argmax(is_nan))} of x; x or the weights hold NaN."
            )
        return log_prob

    @property
    def has_average(self) -> bool:
        """Whether averaged weights are kept and were updated at least once."""
        return self.average is not None and self.average.is_begun

    @property
    def skipped_steps(self) -> int:
        """Number of training steps skipped because they were not finite."""
        return self._policy.skipped

    @contextlib.contextmanager
    def averaged_weights(self) -> Iterator[None]:
        """Makes the model use the average of its weights inside a `with` block.

        Raises:
          ValueError: If there is no average: `compile` got no `average_decay`, or no
            training step followed. Saved models do not contain the average.
        """
        if self.average is None or not self.has_average:
            raise ValueError(
                "averaged_weights: expected a model compiled with average_decay and "
                "trained since, got one without an average."
            )
        with self.average.swapped_in():
            yield

    def save(
        self, filepath: str | os.PathLike, overwrite: bool = True, **kwargs: Any
    ) -> None:
        """Saves like `keras.Model.save`, replacing an old file only when complete.

        Raises:
          FileExistsError: If the file exists and `overwrite` is `False`.
          ValueError: If `filepath` does not end in .keras.
        """
        check_path("filepath", filepath)
        check_flag("overwrite", overwrite)
        if not overwrite and os.path.exists(filepath):
            raise FileExistsError(
                f"filepath: expected a new file with overwrite=False, got {filepath}."
            )
        with atomic_path(filepath) as temporary:
            super().save(temporary, **kwargs)

    def export(self, *args: Any, **kwargs: Any) -> None:
        """Raises `NotImplementedError`: `export_saved_model` exports flows."""
        raise NotImplementedError(
            "export: expected tfp_realnvp.export_saved_model(model, directory), which "
            "writes a SavedModel that scores, samples, encodes and decodes."
        )

    def _prepared(
        self, x: Any, condition: Any, steps: str, kwargs: dict[str, Any]
    ) -> dict[str, Any]:
        """Checks data, and returns them as the arguments of Keras's methods."""
        check_arguments(kwargs)
        given = dict(kwargs)
        y, weight = given.pop("y", None), given.pop("sample_weight", None)
        batch = unpack((x, y if condition is None else condition, weight))
        check_data(
            batch.x,
            batch.condition,
            event_shape=self.flow.event_shape,
            pixels=self.is_over_pixels,
            condition_size=self.condition_size,
            steps=(steps, given.get(steps)),
        )
        parts = for_keras(batch, self.flow.dtype, pixels=self.is_over_pixels).present()
        parts["y"] = parts.pop("condition", None)
        self._is_new_data = True
        return {**given, **parts}
