"""Maximum likelihood with Keras `fit`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tfp_realnvp.arguments import (
    check_int,
)
from tfp_realnvp.training.checks import (
    check_compile,
    check_counts,
    check_data,
    refuse,
)
from tfp_realnvp.training.distribution_model import DistributionModel
from tfp_realnvp.training.functions import EvaluationFunction, TrainingFunction
from tfp_realnvp.training.non_finite import NonFinitePolicy
from tfp_realnvp.training.steps import evaluation_step, training_step
from tfp_realnvp.training.weight_average import WeightAverage, check_decay


@keras.saving.register_keras_serializable(package="tfp_realnvp")
class FlowModel(DistributionModel):
    """Trains a flow, or any other distribution, by maximum likelihood.

    ```none
    loss = mean(-log_prob(x | condition)) + penalties of the layers
    ```

    If the flow is over pixels (it contains a `PixelLogit`), `x` are images with
    values in [0, 256). To integer images the model adds uniform noise in [0, 1)
    itself (Section 4.1), other noise at every step of training and the same at every
    evaluation; loss and the metric `bits_per_dim` are in bits per dimension.
    Otherwise `x` are events of the flow and loss and the metric `nll` are in nats.

    `fit`, `evaluate` and `predict` take arrays or `tf.data.Dataset`s of batches;
    `predict` returns `log_prob` in nats. Layers normalize by batch statistics in
    `fit` and by their moving averages everywhere else.

    For a conditional flow, `condition` holds labels, of an integer dtype and shape
    [N], or vectors, [N, condition_size], or the data set holds pairs (x, condition).

    What is trained are all trainable variables of the distribution, those of its
    base included. With `save("model.keras")` and `keras.saving.load_model` the
    distribution comes back, if it is made of public classes of TFP and this package.

    Args:
      flow: `tfd.Distribution` with a static event shape, for instance from
        `image_flow`, or a `tfd.TransformedDistribution`.
      seed: Python `int` or `None`, seeds the noise added to integer images.
      name: Python `str`.

    Raises:
      TypeError: If `flow` is no `tfd.Distribution`.
      ValueError: If it holds conditional or batch-normalized flows where it does not
        pass `condition` and `training` on, as in a mixture.

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

    # Of `keras.Model`, whose types are unknown.
    train_function: Any
    test_function: Any

    def __init__(
        self,
        flow: tfd.Distribution,
        *,
        seed: int | None = None,
        name: str = "flow_model",
    ):
        super().__init__(flow, seed=seed, name=name)
        self._average: WeightAverage | None = None
        self.step = 0
        self.last_report: dict[str, tf.Tensor] = {}

    def compile(
        self,
        optimizer: Any = None,
        *,
        jit_compile: bool = False,
        on_non_finite: Literal["stop", "skip"] = "stop",
        max_skipped_in_a_row: int = 10,
        average_decay: float | None = None,
        **kwargs: Any,
    ) -> None:
        """Configures training, as `keras.Model.compile`, with other defaults.

        A step whose loss or gradient is NaN or infinite changes nothing, neither
        weights nor moving averages nor the optimizer.

        Args:
          optimizer: Keras optimizer; `None` is the paper's Adam with default
            hyperparameters, with gradients clipped to a global norm of 100. With
            `gradient_accumulation_steps` it updates after so many batches; batch
            normalization then still goes by single batches.
          jit_compile: Python `bool`, whether XLA compiles the steps. `False` unless
            said: on CPUs XLA's convolutions are slower than TensorFlow's own.
          on_non_finite: `"stop"` raises `FloatingPointError` at the first step that
            is not finite, naming the layer where it arose; `"skip"` prints that and
            goes on.
          max_skipped_in_a_row: Python `int`; with `"skip"`, so many such steps in a
            row end training too.
          average_decay: Python `float` in (0, 1) keeps an exponential moving average
            of the weights beside them, see `averaged_weights`; `None` keeps none.
          **kwargs: Passed to `keras.Model.compile`.

        Raises:
          ValueError: If a loss or metrics are given (the model has its own), or an
            argument is not as described.
        """
        refuse(kwargs, ("loss", "loss_weights", "metrics", "weighted_metrics"))
        policy = NonFinitePolicy(on_non_finite, max_skipped_in_a_row)
        check_compile(optimizer, jit_compile, self.distribute_strategy)
        if average_decay is not None:
            check_decay(average_decay)
        with self.distribute_strategy.scope():
            optimizer = optimizer or keras.optimizers.Adam(global_clipnorm=100.0)
            super().compile(optimizer=optimizer, jit_compile=jit_compile, **kwargs)
            self.optimizer.build(self.trainable_variables)
            self._average = None
            if average_decay is not None:
                self._average = WeightAverage(self.weights, average_decay)
        self._policy = policy
        self._own_compile_config = {
            "on_non_finite": on_non_finite,
            "max_skipped_in_a_row": max_skipped_in_a_row,
            "average_decay": average_decay,
        }

    def after_step(self, batch: Any, report: dict[str, tf.Tensor]) -> None:
        """Takes note of a step of training that is over.

        Args:
          batch: What the step was given.
          report: What `training_step` knows of it, under `"report"`.

        Raises:
          FloatingPointError: See `on_non_finite` of `compile`.
        """
        self.last_report = report
        self._policy.after_step(bool(report["is_finite"]), self, batch)
        self.step += 1

    def get_compile_config(self) -> dict[str, Any] | None:
        config = super().get_compile_config()
        return config and {**config, **self._own_compile_config}

    def compile_from_config(self, config: dict[str, Any]) -> None:
        self.compile(**keras.saving.deserialize_keras_object(config))

    def fit(
        self, x: Any = None, condition: Any = None, *args: Any, **kwargs: Any
    ) -> keras.callbacks.History:
        """Trains, as `keras.Model.fit`. Bad data raise before any training."""
        # Keras's name for what comes with x; its own `fit` calls `evaluate` so.
        condition = kwargs.pop("y", None) if condition is None else condition
        self._check(x, condition, kwargs)
        check_counts(
            {**kwargs, **dict(zip(("batch_size", "epochs"), args, strict=False))}
        )
        if "epochs" in kwargs:
            check_int("epochs", kwargs["epochs"])
        validation = kwargs.get("validation_data")
        if validation is not None:
            held_out, labels, _ = keras.utils.unpack_x_y_sample_weight(validation)
            self._check(held_out, labels, {})
        if isinstance(x, tf.data.Dataset):
            # Keras's default, True, warns that a data set shuffles itself.
            kwargs.setdefault("shuffle", False)
        return super().fit(x, condition, *args, **kwargs)

    def evaluate(
        self, x: Any = None, condition: Any = None, *args: Any, **kwargs: Any
    ) -> Any:
        """Evaluates, as `keras.Model.evaluate`, with the same noise every time.

        What a data set holds is not looked at before: the mean over vectors of which
        one is NaN is NaN.
        """
        condition = kwargs.pop("y", None) if condition is None else condition
        self._check(x, condition, kwargs)
        check_counts({**kwargs, **dict(zip(("batch_size",), args, strict=False))})
        self.rewind_evaluation_noise()
        return super().evaluate(x, condition, *args, **kwargs)

    def predict(
        self,
        x: Any,
        condition: Any = None,
        batch_size: int | None = None,
        **kwargs: Any,
    ) -> np.ndarray:
        """Returns `log_prob` in nats, with the same noise every time.

        Raises:
          FloatingPointError: If one of them is NaN.
        """
        self._check(x, condition, kwargs)
        check_counts({**kwargs, "batch_size": batch_size})
        self.rewind_evaluation_noise()
        if condition is not None:
            pairs = tf.data.Dataset.from_tensor_slices((x, condition))
            x, batch_size = pairs.batch(batch_size or 32), None
        log_prob = super().predict(x, batch_size=batch_size, **kwargs)
        is_nan = np.isnan(log_prob)
        if is_nan.any():
            raise FloatingPointError(
                "log_prob: expected numbers, got NaN for example "
                f"{int(np.argmax(is_nan))} of x, which holds NaN, or the weights do."
            )
        return log_prob

    def train_step(self, data: Any) -> dict[str, Any]:
        return training_step(self, data)

    def test_step(self, data: Any) -> dict[str, Any]:
        return evaluation_step(self, data)

    def predict_step(self, data: Any) -> tf.Tensor:
        return self(self.inputs_of(data))

    def make_train_function(self, force: bool = False) -> Any:
        if self.train_function is None or force:
            self.train_function = TrainingFunction(self)
        return self.train_function

    def make_test_function(self, force: bool = False) -> Any:
        if self.test_function is None or force:
            self.test_function = EvaluationFunction(self)
        return self.test_function

    def _maybe_symbolic_build(
        self, iterator: Any = None, data_batch: Any = None
    ) -> None:
        # All is built from the start. Keras would average the first batch over the
        # replicas, which fails if their parts differ in size or on several workers.
        pass

    @property
    def average(self) -> WeightAverage | None:
        """The running average of the weights, if `compile` was told to keep one."""
        return self._average

    @property
    def has_average(self) -> bool:
        """Whether there are averaged weights: kept, and updated at least once."""
        return self._average is not None and self._average.is_begun

    @property
    def skipped_steps(self) -> int:
        """Number of steps left out because they were not finite."""
        return self._policy.skipped

    @contextlib.contextmanager
    def averaged_weights(self) -> Iterator[None]:
        """Lets the model use the average of its weights for a while.

        Raises:
          ValueError: If `compile` was not given an `average_decay`, or there was no
            step of training since: files of a model do not hold the average.
        """
        average = self._average
        if average is None or not average.is_begun:
            raise ValueError(
                "averaged_weights: expected a model compiled with average_decay and "
                "trained since, got one without an average."
            )
        with average.swapped_in():
            yield

    def _check(self, x: Any, condition: Any, kwargs: dict[str, Any]) -> None:
        refuse(kwargs, ("sample_weight", "class_weight"))
        check_data(
            x,
            condition,
            self.flow.event_shape,
            pixels=self.is_over_pixels,
            condition_size=self.condition_size,
        )
