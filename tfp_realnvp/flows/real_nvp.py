"""The whole Real NVP as one bijector."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import tensorflow as tf

from tfp_realnvp.arguments import (
    check_choice,
    check_flag,
    check_number,
    check_seed,
    check_text,
    shortened,
)
from tfp_realnvp.bijectors import FusedBijector, FusedChain
from tfp_realnvp.bijectors.condition import check_condition_size
from tfp_realnvp.bijectors.event import checked_event_shape
from tfp_realnvp.bijectors.fused import run
from tfp_realnvp.flows.latent_scales import merge_scales, split_by_scale
from tfp_realnvp.flows.memory import check_memory
from tfp_realnvp.flows.multi_scale import multi_scale_chain
from tfp_realnvp.flows.precision import checked_dtype, resolve_network_dtype
from tfp_realnvp.flows.sizes import check_sizes_fit, resolve_sizes
from tfp_realnvp.flows.vector_chain import vector_chain
from tfp_realnvp.nets.checks import check_momentum

# What may differ between flows that share their weights.
_SHARING = {"body", "memory", "name", "validate_args"}


class RealNVPBijector(FusedBijector):
    """Real NVP over images or vectors, from latents (forward) to data (inverse).

    Over images, the multi-scale flow of the paper. At every scale but the last, on
    the way from data to latents (Section 3.6):

    ```none
    3 x [AffineCoupling(checkerboard_mask), BatchNorm]
    Squeeze, (H, W, C) -> (H/2, W/2, 4C)
    3 x [AffineCoupling(channel_mask), BatchNorm], with twice the feature maps
    FactorOut: half of the channels are latents, the others enter the next scale
    ```

    and at the last scale 4 x [AffineCoupling(checkerboard_mask), BatchNorm]. Masks
    alternate, so that each coupling transforms what the one before passed through.
    The number of feature maps doubles from scale to scale. With `invertible_conv`,
    which is not the paper's but Glow's, an `InvertibleConv` comes before each
    channel-wise coupling.

    Latents have the shape of the image itself: what leaves at each scale stays at
    the pixels it came from. `split_latent` takes them apart by scale.

    Over vectors:

    ```none
    num_couplings x [AffineCoupling, BatchNorm]
    ```

    with dense networks and masks that alternate between the two halves, then between
    even and odd positions, and so on.

    A flow with a `condition_size` takes one more argument, `condition`: integer
    labels of shape [...] or vectors of shape [..., condition_size], whose leading
    dimensions and those of the events broadcast against each other. It enters every
    network. Distributions pass it on, together with `training`, as
    `log_prob(x, bijector_kwargs={"condition": labels})`.

    Args:
      event_shape: Sequence of Python `int`s, (height, width, channels) or (D,). Height
        and width must be divisible by `2**(num_scales - 1)`; images of any other such
        size work too, with the same weights (Appendix C). D must be at least 2.
      num_scales: Python `int`, images only: number of scales, one more than squeezes.
        `None` is 2.
      filters: Python `int`, images only: feature maps of the first couplings' networks.
        `None` is 32.
      num_blocks: Python `int`, images only: residual blocks of every network. `None`
        is 2.
      invertible_conv: Python `bool`, images only: whether channels are mixed before
        each channel-wise coupling, by a matrix to learn. The latents of a scale then
        are mixtures of what is at their pixel and its neighbours. `None` is `False`.
      crelu: Python `bool`, images only: whether networks see their inputs h as
        [relu(h), relu(-h)], which the paper does, or as they are. `None` is `True`.
      num_couplings: Python `int`, vectors only: number of couplings, at least 2. `None`
        is 6; from 4 on, every entry depends on every other whatever D is.
      hidden_units: Sequence of Python `int`s, vectors only: widths of the hidden layers
        of every network. `None` is (64, 64).
      activation: Name of a Keras activation or a function, vectors only. `None` is
        `"gelu"`: smooth, and so are the gradients of the log-density, and not bounded,
        so that tails can bend.
      residual: Python `bool`, vectors only: whether hidden layers add to their input.
        `None` is `False`.
      condition_size: Python `int`, number of classes or length of the vectors to
        condition on; `None` for an unconditional flow.
      batch_norm: `"batch"` normalizes by the current batch in training (Section
        3.7), `"moving"` by moving averages (Appendix E), `None` not at all. It applies
        between the couplings and, for images, in the networks. `"auto"` is `"batch"`
        for images and `None` for vectors, which often are used where nothing passes
        `training` on (variational inference, MCMC).
      momentum: Python `float`, momentum of the moving averages.
      l2: Python `float`, weight of the paper's penalty on the squares of
        weight-norm magnitudes and tanh gains, to be found in the `losses` of the
        Keras layers; `FlowModel` adds it to its loss.
      seed: Python `int` or `None`, seeds the initial weights.
      body: `FusedChain` of an equally configured flow to share its weights with, as
        `copy()` does; `None` makes a new one.
      dtype: Dtype of events and weights, `tf.float32` or `tf.float64`.
      network_dtype: Python `str`, name of the Keras dtype policy of the networks;
        `None` is that of `dtype`, or Keras's global policy if that is mixed. With
        `"mixed_bfloat16"` the networks of a float32 flow compute in bfloat16, which
        processors with bfloat16 units do faster.
        Weights, statistics and log-scales, and all that the flow computes from what
        the networks return, stay float32, so it is as invertible as before but for
        one thing: where float32's rounding moves an entry across a boundary between
        two bfloat16 numbers, what depends on it comes back in bfloat16's accuracy.
      memory: `"stored"` keeps the activations of all networks for the gradient.
        `"recompute"` keeps the input of each coupling and batch normalization alone,
        and runs it again for its gradient: the activations of one network at a time
        are all that training takes then, however many there are, for a third more
        arithmetic. Values and gradients are the same.
      validate_args: Python `bool`, as for every `tfb.Bijector`.
      name: Python `str`.

    Raises:
      TypeError: If `body` is no `FusedChain`.
      ValueError: If a size is not positive or belongs to events of the other kind, if
        another argument is not as described, or if the flow would not fit in memory.

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
        num_scales: int | None = None,
        filters: int | None = None,
        num_blocks: int | None = None,
        invertible_conv: bool | None = None,
        crelu: bool | None = None,
        num_couplings: int | None = None,
        hidden_units: Sequence[int] | None = None,
        activation: Any = None,
        residual: bool | None = None,
        condition_size: int | None = None,
        batch_norm: Literal["batch", "moving", "auto"] | None = "auto",
        momentum: float = 0.9,
        l2: float = 5e-5,
        seed: int | None = None,
        body: FusedChain | None = None,
        dtype: tf.DType = tf.float32,
        network_dtype: str | None = None,
        memory: Literal["stored", "recompute"] = "stored",
        validate_args: bool = False,
        name: str = "real_nvp_bijector",
    ):
        parameters = dict(locals())
        event_shape, sizes = resolve_sizes(
            event_shape,
            {
                "num_scales": num_scales,
                "filters": filters,
                "num_blocks": num_blocks,
                "invertible_conv": invertible_conv,
                "crelu": crelu,
                "num_couplings": num_couplings,
                "hidden_units": hidden_units,
                "activation": activation,
                "residual": residual,
            },
        )
        check_condition_size(condition_size)
        check_memory(memory)
        dtype = checked_dtype(dtype)
        policy = resolve_network_dtype(network_dtype, dtype)
        if network_dtype is None and policy != dtype.name:
            # What is made again from the parameters must not depend on a global policy.
            parameters["network_dtype"] = policy
        check_choice("batch_norm", batch_norm, ("batch", "moving", "auto", None))
        check_momentum(momentum)
        check_number("l2", l2, least=0, expected="0 or more, and finite")
        check_seed("seed", seed)
        if body is None:
            check_sizes_fit(event_shape, sizes)
        elif not isinstance(body, FusedChain):
            raise TypeError(
                f"body: expected a FusedChain or None, got {shortened(body)}."
            )
        check_flag("validate_args", validate_args)
        check_text("name", name)
        is_image = len(event_shape) == 3
        if batch_norm == "auto":
            batch_norm = "batch" if is_image else None
        with tf.name_scope(name) as name:
            make_body: Callable[..., FusedChain] = (
                multi_scale_chain if is_image else vector_chain
            )
            body = body or make_body(
                event_shape,
                **sizes,
                condition_size=condition_size,
                batch_norm=batch_norm,
                momentum=momentum,
                l2=l2,
                seed=seed,
                dtype=dtype.name,
                network_dtype=policy,
            )
            # With the body among the parameters a copy shares the weights, and two
            # flows made from the same numbers are not taken for equal.
            parameters["body"] = body
            self._event_shape = event_shape
            self._num_scales = sizes.get("num_scales", 1)
            super().__init__(
                event_ndims=len(event_shape),
                condition_size=condition_size,
                dtype=dtype,
                parameters=parameters,
                validate_args=validate_args,
                name=name,
            )
            self._body = body
            self._recompute = memory == "recompute"

    def copy(self, **override_parameters_kwargs: Any) -> RealNVPBijector:
        """Returns the same flow, sharing its weights, under other parameters.

        A change of anything but `memory`, `validate_args` and `name` makes a flow of
        its own.
        """
        if set(override_parameters_kwargs) - _SHARING:
            override_parameters_kwargs.setdefault("body", None)
        copied = super().copy(**override_parameters_kwargs)
        copied._parameters["body"] = copied._body
        return copied

    @property
    def event_shape(self) -> tuple[int, ...]:
        """Shape of the events the flow was made for."""
        return self._event_shape

    @property
    def num_scales(self) -> int:
        """Number of scales, 1 for vectors."""
        return self._num_scales

    @property
    def body(self) -> FusedChain:
        """The couplings and all between them, as one chain of bijectors."""
        return self._body

    def _checked_event_shape(self, shape: tf.TensorShape, name: str) -> tf.TensorShape:
        return checked_event_shape(
            shape,
            name,
            self._event_shape,
            any_size=self.event_ndims == 3,
            divisor=2 ** (self._num_scales - 1),
        )

    def _forward_and_log_det(
        self, x: tf.Tensor, **kwargs: Any
    ) -> tuple[tf.Tensor, tf.Tensor]:
        return self._run_body(x, inverse=False, **kwargs)

    def _inverse_and_log_det(
        self, y: tf.Tensor, **kwargs: Any
    ) -> tuple[tf.Tensor, tf.Tensor]:
        return self._run_body(y, inverse=True, **kwargs)

    def _run_body(
        self, value: tf.Tensor, *, recompute: bool = False, **kwargs: Any
    ) -> tuple[tf.Tensor, tf.Tensor]:
        recompute = recompute or self._recompute
        return run(self._body, value, self.event_ndims, recompute=recompute, **kwargs)

    def split_latent(self, x: tf.Tensor) -> list[tf.Tensor]:
        """Returns the latents of each scale, finest first (Eq. 13).

        Args:
          x: `Tensor` of shape [..., height, width, channels], in latent space.

        Returns:
          List of `num_scales` `Tensor`s. With C channels, the latents of the i-th
          scale, counted from 1, have shape [..., height / 2**i, width / 2**i,
          2**i * C], but those of the last scale have that of the ones before.

        Raises:
          ValueError: If `x` is of another shape.
        """
        x = tf.convert_to_tensor(x, self.dtype, name="x")
        self._checked_event_shape(x.shape, "x")
        return split_by_scale(self._body, x)

    def merge_latent(self, latents: Sequence[tf.Tensor]) -> tf.Tensor:
        """Undoes `split_latent`.

        Args:
          latents: Sequence of `Tensor`s as `split_latent` returns them.

        Raises:
          ValueError: If there are not `num_scales` of them.
        """
        is_sequence = isinstance(latents, (list, tuple))
        if not is_sequence or len(latents) != self._num_scales:
            got = len(latents) if is_sequence else shortened(latents)
            raise ValueError(
                f"latents: expected {self._num_scales} tensors, got {got}."
            )
        latents = [tf.convert_to_tensor(z, self.dtype, name="latents") for z in latents]
        return merge_scales(self._body, latents, self._event_shape)
