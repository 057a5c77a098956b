"""The whole Real NVP as one bijector."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_realnvp.bijectors import FactorOut, FusedBijector, FusedChain, Squeeze
from tfp_realnvp.bijectors.event import check_event
from tfp_realnvp.bijectors.fused import forward_and_log_det, inverse_and_log_det
from tfp_realnvp.flows.multi_scale import multi_scale_chain

tfb = tfp.bijectors


class RealNVPBijector(FusedBijector):
    """Multi-scale Real NVP over images, from latents (forward) to data (inverse).

    At every scale but the last, on the way from data to latents (Section 3.6):

    ```none
    3 x [AffineCoupling(checkerboard_mask), BatchNorm]
    Squeeze, (H, W, C) -> (H/2, W/2, 4C)
    3 x [AffineCoupling(channel_mask), BatchNorm], with twice the feature maps
    FactorOut: half of the channels are latents, the others enter the next scale
    ```

    and at the last scale 4 x [AffineCoupling(checkerboard_mask), BatchNorm]. Masks
    alternate, so that each coupling transforms what the one before passed through.
    The number of feature maps doubles from scale to scale.

    Latents have the shape of the image itself: what leaves at each scale stays at
    the pixels it came from. `split_latent` takes them apart by scale.

    Args:
      event_shape: Sequence of Python `int`s, (height, width, channels). Height and
        width must be divisible by `2**(num_scales - 1)`. Events of any other such
        size work too, with the same weights (Appendix C).
      num_scales: Python `int`, number of scales: one more than squeezes.
      filters: Python `int`, feature maps of the first couplings' networks.
      num_blocks: Python `int`, residual blocks of every network.
      batch_norm: `"batch"` normalizes by the current batch in training (Section
        3.7), `"moving"` by moving averages (Appendix E), `None` not at all; both in
        the networks and between the couplings.
      momentum: Python `float`, momentum of the moving averages.
      l2: Python `float`, weight of the paper's penalty on the squares of
        weight-norm magnitudes and tanh gains, to be found in the `losses` of the
        Keras layers; `FlowModel` adds it to its loss.
      seed: Python `int` or `None`, seeds the initial weights.
      body: `FusedChain` of an equally configured flow to share its weights with, as
        `copy()` does; `None` makes a new one.
      dtype: Dtype of events and weights, `tf.float32` or `tf.float64`.
      validate_args: Python `bool`, as for every `tfb.Bijector`.
      name: Python `str`.

    Raises:
      ValueError: If a size is not positive, or `event_shape` not as described.

    #### Example

    ```python
    >>> import tensorflow as tf, tensorflow_probability as tfp
    >>> import tfp_realnvp as nvp
    >>> tfd = tfp.distributions
    >>> flow = tfd.TransformedDistribution(
    ...     tfd.Independent(tfd.Normal(tf.zeros([8, 8, 1]), 1.), 3),
    ...     nvp.RealNVPBijector((8, 8, 1), num_scales=2, filters=8, num_blocks=1),
    ... )
    >>> flow.log_prob(flow.sample(4, seed=0)).shape
    TensorShape([4])
    >>> len(flow.trainable_variables)
    180

    ```

    #### References

    [1]: Laurent Dinh, Jascha Sohl-Dickstein, Samy Bengio. Density estimation using
         Real NVP. https://arxiv.org/abs/1605.08803
    """

    def __init__(
        self,
        event_shape: Sequence[int],
        *,
        num_scales: int = 2,
        filters: int = 32,
        num_blocks: int = 2,
        batch_norm: Literal["batch", "moving"] | None = "batch",
        momentum: float = 0.9,
        l2: float = 5e-5,
        seed: int | None = None,
        body: FusedChain | None = None,
        dtype: tf.DType = tf.float32,
        validate_args: bool = False,
        name: str = "real_nvp",
    ):
        parameters = dict(locals())
        event_shape = tuple(event_shape)
        self._check_sizes(event_shape, num_scales, filters, num_blocks)
        with tf.name_scope(name) as name:
            body = body or multi_scale_chain(
                event_shape,
                num_scales=num_scales,
                filters=filters,
                num_blocks=num_blocks,
                batch_norm=batch_norm,
                momentum=momentum,
                l2=l2,
                seed=seed,
                dtype=tf.as_dtype(dtype).name,
            )
            # With the body among the parameters a copy shares the weights, and two
            # flows made from the same numbers are not taken for equal.
            parameters["body"] = body
            self._event_shape = event_shape
            self._num_scales = num_scales
            super().__init__(
                event_ndims=3,
                dtype=tf.as_dtype(dtype),
                parameters=parameters,
                validate_args=validate_args,
                name=name,
            )
            self._body = body

    @staticmethod
    def _check_sizes(event_shape, num_scales, filters, num_blocks):
        for argument, value in (
            ("num_scales", num_scales),
            ("filters", filters),
            ("num_blocks", num_blocks),
        ):
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"{argument}: expected a positive int, got {value!r}.")
        if len(event_shape) != 3 or any(
            not isinstance(n, int) or n < 1 for n in event_shape
        ):
            raise ValueError(
                "event_shape: expected three positive ints (height, width, channels), "
                f"got {event_shape}."
            )
        divisor = 2 ** (num_scales - 1)
        if any(side % divisor for side in event_shape[:2]):
            raise ValueError(
                f"event_shape: expected height and width divisible by {divisor} for "
                f"num_scales={num_scales}, got {event_shape}."
            )

    def copy(self, **override_parameters_kwargs: Any) -> RealNVPBijector:
        """Returns the same flow, sharing its weights, under other parameters.

        A change of anything but `validate_args` and `name` makes a flow of its own.
        """
        if set(override_parameters_kwargs) - {"validate_args", "name", "body"}:
            override_parameters_kwargs.setdefault("body", None)
        copied = super().copy(**override_parameters_kwargs)
        copied._parameters["body"] = copied._body
        return copied

    @property
    def event_shape(self) -> tuple[int, int, int]:
        """Shape of the events the flow was made for."""
        return self._event_shape

    @property
    def num_scales(self) -> int:
        """Number of scales."""
        return self._num_scales

    @property
    def body(self) -> FusedChain:
        """The couplings and all between them, as one chain of bijectors."""
        return self._body

    def _check_event(self, value, name):
        check_event(
            value,
            name,
            self._event_shape,
            any_size=True,
            divisor=2 ** (self._num_scales - 1),
        )

    def _forward_and_log_det(self, x, **kwargs):
        return forward_and_log_det(self._body, x, 3, **kwargs)

    def _inverse_and_log_det(self, y, **kwargs):
        return inverse_and_log_det(self._body, y, 3, **kwargs)

    def split_latent(self, x: tf.Tensor) -> list[tf.Tensor]:
        """Returns the latents of each scale, finest first (Eq. 13).

        Args:
          x: `Tensor` of shape [..., height, width, channels], in latent space.

        Returns:
          List of `num_scales` `Tensor`s. With C channels, the latents of the i-th
          scale, counted from 1, have shape [..., height / 2**i, width / 2**i,
          2**i * C], but those of the last scale have that of the ones before.
        """
        latents = []
        for factor_out in self._factor_outs():
            x, leaving = factor_out.split(Squeeze().forward(x))
            latents.append(leaving)
        return [*latents, x]

    def merge_latent(self, latents: Sequence[tf.Tensor]) -> tf.Tensor:
        """Undoes `split_latent`.

        Args:
          latents: Sequence of `Tensor`s as `split_latent` returns them.

        Raises:
          ValueError: If there are not `num_scales` of them.
        """
        if len(latents) != self._num_scales:
            raise ValueError(
                f"latents: expected {self._num_scales} tensors, got {len(latents)}."
            )
        *leaving, x = latents
        for factor_out, z in zip(
            reversed(self._factor_outs()), reversed(leaving), strict=True
        ):
            x = Squeeze().inverse(factor_out.merge(x, z))
        return x

    def _factor_outs(self) -> list[FactorOut]:
        found, chain = [], self._body
        while chain is not None:
            inner = [b for b in chain.bijectors if isinstance(b, FactorOut)]
            found += inner
            chain = inner[0].bijector if inner else None
        return found
