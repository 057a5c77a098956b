"""Couplings by mixtures of logistics (Ho et al., Flow++, 2019, Section 3.2).

```none
data to latents:  z = (logit(F(x)) - shift) exp(-log_scale)
```

with F the distribution function of a mixture of logistics whose parameters the network
gives. The way back would need a search, and training does not take it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from unittest import mock

import tensorflow as tf

from tfp_realnvp.bijectors import AffineCoupling
from tfp_realnvp.flows import couplings
from tfp_realnvp.nets import ResNet, ShiftAndLogScale

COMPONENTS = 4
_OUTPUTS = 2 + 3 * COMPONENTS


class MixtureHead(ShiftAndLogScale):
    """Splits a network's output into log-scale, shift, and a mixture's parameters."""

    def call(self, inputs, context=None, condition=None, training=False):
        arguments = {} if context is None else {"context": context}
        outputs = self.network(inputs, training=training, **arguments)
        outputs = tf.cast(outputs, self.variable_dtype)
        outputs = tf.stack(tf.split(outputs, _OUTPUTS, axis=-1), axis=-2)
        shift, raw = outputs[..., 0, :], outputs[..., 1, :]
        logits, means, log_widths = tf.split(outputs[..., 2:, :], 3, axis=-2)
        # Alike at the start, components would stay alike.
        means += tf.linspace(-1.0, 1.0, COMPONENTS)[:, tf.newaxis]
        log_scale = tf.convert_to_tensor(self.gain) * tf.tanh(raw)
        return (shift, logits, means, tf.maximum(log_widths, -7.0)), log_scale


class MixtureCoupling(AffineCoupling):
    """Coupling from data to latents by a mixture of logistics."""

    def _change(self, changed, outputs, mask, *, inverse):
        if not inverse:
            raise NotImplementedError("Only from data to latents.")
        (shift, logits, means, log_widths), log_scale = outputs
        scaled = (changed[..., tf.newaxis, :] - means) * tf.exp(-log_widths)
        weights = tf.nn.log_softmax(logits, axis=-2)
        below = tf.math.log_sigmoid(scaled)
        above = below - scaled
        log_cdf = tf.reduce_logsumexp(weights + below, axis=-2)
        log_rest = tf.reduce_logsumexp(weights + above, axis=-2)
        log_density = tf.reduce_logsumexp(weights - log_widths + below + above, axis=-2)
        result = (log_cdf - log_rest - shift) * tf.exp(-log_scale)
        log_det = log_density - log_cdf - log_rest - log_scale
        if mask is not None:
            result = mask * changed + (1 - mask) * result
            log_det *= 1 - mask
        return result, log_det


def _network(output_channels: int, **options) -> ResNet:
    return ResNet(output_channels // 2 * _OUTPUTS, **options)


@contextlib.contextmanager
def mixture_couplings() -> Iterator[None]:
    """All couplings of an image flow become couplings by mixtures."""
    with (
        mock.patch.object(couplings, "ResNet", _network),
        mock.patch.object(couplings, "ShiftAndLogScale", MixtureHead),
        mock.patch.object(couplings, "AffineCoupling", MixtureCoupling),
    ):
        yield
