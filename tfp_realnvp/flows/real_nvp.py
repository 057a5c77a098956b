"""The whole Real NVP as one bijector."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import keras
import tensorflow as tf

from tfp_realnvp.arguments import check_choice, check_number, check_seed, checked_shape
from tfp_realnvp.bijectors import (
    Additive,
    Elementwise,
    FusedBijector,
    FusedChain,
    RationalQuadraticSpline,
)
from tfp_realnvp.bijectors.fused_chain import run
from tfp_realnvp.bijectors.inputs import check_condition_size, checked_event_shape
from tfp_realnvp.choices import MEMORY
from tfp_realnvp.flows.architectures import (
    CouplingStack,
    MultiScale,
    merge_scales,
    split_by_scale,
)
from tfp_realnvp.flows.couplings import (
    CouplingMaker,
    MLPConditioner,
    ResNetConditioner,
    resolve_network_dtype,
)
from tfp_realnvp.nets.batch_norm import check_momentum

# Parameters that may differ between flows that share weights.
_SHARING = {"body", "memory", "name", "validate_args"}


class RealNVPBijector(FusedBijector):
    """Real NVP over images or vectors, from latents (forward) to data (inverse).

    Couplings with alternating masks, each with its normalization, arranged by an
    `architecture`. Each has its own network, made by the `conditioner`, which computes
    the parameters of its `transform`. Fields of `architecture` and `conditioner` can be
    given by name, so these two flows are alike:

    ```python
    RealNVPBijector((8, 8, 1), num_scales=3, filters=64)
    RealNVPBijector((8, 8, 1), MultiScale(num_scales=3), ResNetConditioner(filters=64))
    ```

    Latents have the shape of the event: those of each scale stay at the pixels they
    came from, see `split_latent`.

    A flow with a `condition_size` takes one more argument, which enters every network:
    `condition`, integer labels of shape [...] or vectors of shape
    [..., condition_size], whose leading dimensions broadcast against those of the
    events. Distributions pass it on, like `training`:
    `log_prob(x, bijector_kwargs={"condition": labels})`.

    Args:
      event_shape: Sequence of Python `int`s, (height, width, channels) or (D,) with D
        at least 2. Images of any other size that can be halved as often work too, with
        the same weights (Appendix C).
      architecture: `None` is `MultiScale()` for images, `CouplingStack()` for vectors.
      conditioner: `None` is `ResNetConditioner()` or `MLPConditioner()`. It can be any
        function that makes the network of one coupling, a Keras layer. It is called
        with the number of outputs in the last axis and with those of these arguments
        that it names: level (Python `int`, how often widths have doubled so far),
        condition_size, batch_norm, momentum, regularizer, seed, and dtype, the Keras
        policy. For `.keras` files it must be registered by
        `keras.saving.register_keras_serializable`. Keras sees weights that are made by
        `add_weight`; a plain `tf.Variable` in a layer is neither trained nor saved.
      transform: `Additive`, `RationalQuadraticSpline` or `Elementwise`, see `Coupling`;
        `None` is affine, as in the paper.
      condition_size: Python `int`, number of classes or length of the vectors to
        condition on; `None` for an unconditional flow.
      batch_norm: `"batch"` normalizes by the current batch in training (Section
        3.7), `"moving"` by moving averages (Appendix E), `None` not at all. `"auto"`
        is `"batch"` for images and `None` for vectors, whose flows are often used where
        nothing passes `training` on (variational inference, MCMC).
      momentum: Python `float`, of the moving averages.
      l2: Python `float`, weight of the paper's penalty on the squares of magnitudes and
        gains, in the `losses` of the Keras layers.
      seed: Python `int` or `None`, seeds the initial weights.
      body: `FusedChain` of an equal flow to share its weights, as `copy()` does.
      dtype: Dtype of events and weights, `tf.float32` or `tf.float64`.
      network_dtype: Python `str`, name of the Keras dtype policy of the networks;
        `None` is that of `dtype`, or Keras's global policy if that is mixed. With
        `"mixed_bfloat16"` the networks of a float32 flow compute in bfloat16, all else
        stays float32. Where rounding moves an entry from one bfloat16 number to the
        next, what depends on it is recovered with bfloat16's accuracy only.
      memory: `"stored"` keeps the activations of all networks for the gradient,
        `"recompute"` those of one network at a time, for a third more arithmetic and
        the same values and gradients. Networks and transforms of your own then depend
        on nothing but inputs, condition and weights of Keras layers: what else they
        close over gets no gradient.
      validate_args: Python `bool`, as for every `tfb.Bijector`.
      name: Python `str`.
      **fields: Fields of `architecture` or `conditioner`, instead of theirs.

    Raises:
      TypeError: If `fields` holds anything else.
      ValueError: If an argument is invalid, or does not fit the events.

    #### Example

    ```python
    >>> import keras, tensorflow as tf, tensorflow_probability as tfp
    >>> import tfp_realnvp as nvp
    >>> tfd = tfp.distributions
    >>> bijector = nvp.RealNVPBijector((8, 8, 1), filters=8, num_blocks=1)
    >>> base = tfd.Sample(tfd.Normal(0., 1.), [8, 8, 1])
    >>> flow = tfd.TransformedDistribution(base, bijector)
    >>> flow.log_prob(flow.sample(4, seed=0)).shape
    TensorShape([4])

    ```

    With a network and a transform of your own:

    ```python
    >>> def network(outputs):
    ...     layers = [keras.layers.Dense(32, "relu"), keras.layers.Dense(outputs)]
    ...     return keras.Sequential(layers)
    >>> bijector = nvp.RealNVPBijector(
    ...     (2,), conditioner=network, transform=nvp.RationalQuadraticSpline(num_bins=4)
    ... )
    >>> bijector.forward(tf.zeros([3, 2])).shape
    TensorShape([3, 2])

    ```

    #### References

    [1]: Laurent Dinh, Jascha Sohl-Dickstein, Samy Bengio. Density estimation using
         Real NVP. https://arxiv.org/abs/1605.08803
    """

    def __init__(
        self,
        event_shape: Sequence[int],
        architecture: MultiScale | CouplingStack | None = None,
        conditioner: Callable[..., keras.layers.Layer] | None = None,
        transform: Additive | Elementwise | RationalQuadraticSpline | None = None,
        *,
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
        **fields: Any,
    ):
        parameters = dict(locals())
        del parameters["fields"]
        expected = "three positive ints (height, width, channels) or one (D,)"
        event_shape = checked_shape("event_shape", event_shape, expected=expected)
        if len(event_shape) not in (1, 3):
            raise ValueError(f"event_shape: expected {expected}, got {event_shape}.")
        is_image = len(event_shape) == 3
        architecture = architecture or (MultiScale() if is_image else CouplingStack())
        if conditioner is None:
            conditioner = ResNetConditioner() if is_image else MLPConditioner()
        architecture, conditioner = _with_fields((architecture, conditioner), fields)
        if fields:
            # So that a copy with another conditioner does not get these fields.
            parameters.update(architecture=architecture, conditioner=conditioner)
        architecture.check(event_shape)
        check_condition_size(condition_size)
        check_choice("memory", memory, MEMORY)
        dtype = tf.as_dtype(dtype)
        check_choice("dtype", dtype.name, ("float32", "float64"))
        policy = resolve_network_dtype(network_dtype, dtype)
        if network_dtype is None and policy != dtype.name:
            # A flow made again from the parameters must not depend on a global policy.
            parameters["network_dtype"] = policy
        check_choice("batch_norm", batch_norm, ("batch", "moving", "auto", None))
        check_momentum(momentum)
        check_number("l2", l2, least=0, expected="0 or more, and finite")
        check_seed("seed", seed)
        if batch_norm == "auto":
            batch_norm = "batch" if is_image else None
        with tf.name_scope(name) as name:
            couplings = CouplingMaker(
                conditioner,
                transform,
                condition_size=condition_size,
                batch_norm=batch_norm,
                momentum=momentum,
                l2=l2,
                dtype=dtype.name,
                network_dtype=policy,
            )
            body = body or architecture.chain(event_shape, couplings, seed)
            # So copies share weights, and flows with other weights are not equal.
            parameters["body"] = body
            self._event_shape = event_shape
            self._num_scales = architecture.num_scales
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
        """Returns a copy with other parameters.

        It shares the weights unless anything but `memory`, `validate_args` and `name`
        changes.
        """
        if set(override_parameters_kwargs) - _SHARING:
            override_parameters_kwargs.setdefault("body", None)
        # TFP's own `copy` would keep these instead of what the copy derives.
        return type(self)(**{**self.parameters, **override_parameters_kwargs})

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
        """The chain of couplings and the bijectors between them."""
        return self._body

    def _checked_event_shape(self, shape: tf.TensorShape, name: str) -> tf.TensorShape:
        return checked_event_shape(
            shape,
            name,
            self._event_shape,
            any_size=self.event_ndims == 3,
            divisor=2 ** (self._num_scales - 1),
        )

    def _value_and_log_det(
        self,
        value: tf.Tensor,
        *,
        inverse: bool,
        recompute: bool = False,
        **kwargs: Any,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        kwargs["recompute"] = recompute or self._recompute
        return run(self._body, value, self.event_ndims, inverse=inverse, **kwargs)

    def split_latent(self, x: tf.Tensor) -> list[tf.Tensor]:
        """Returns the latents of each scale, finest first (Eq. 13).

        Args:
          x: `Tensor` of shape [..., height, width, channels], in latent space.

        Returns:
          List of `num_scales` `Tensor`s. With C channels, those of the i-th scale,
          from 1 on, have shape [..., height / 2**i, width / 2**i, 2**i * C], but those
          of the last scale have that of the ones before.
        """
        x = tf.convert_to_tensor(x, self.dtype, name="x")
        self._checked_event_shape(x.shape, "x")
        return split_by_scale(self._body, x)

    def merge_latent(self, latents: Sequence[tf.Tensor]) -> tf.Tensor:
        """Undoes `split_latent`, given what it returns."""
        latents = [tf.convert_to_tensor(z, self.dtype, name="latents") for z in latents]
        return merge_scales(self._body, latents, self._event_shape)


def _with_fields(parts: Sequence[Any], fields: Mapping[str, Any]) -> list[Any]:
    """Returns the parts of a flow, with the given fields replaced."""
    changed, sizes = [], []
    for part in parts:
        names = list(vars(part)) if dataclasses.is_dataclass(part) else []
        own = {name: fields[name] for name in names if name in fields}
        changed.append(dataclasses.replace(part, **own) if own else part)
        sizes += names
    for name in fields:
        if name not in sizes:
            raise TypeError(
                f"{name}: expected no argument of this name, for this flow has the "
                f"sizes {', '.join(sorted(sizes))}."
            )
    return changed
