"""A stack of bare 3x3 convolutions, in either framework: how fast the hardware is.

Whatever a flow of convolutions is made with, it is no faster than these.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from speed.contenders import Prepared, tf_threads, torch_threads


def prepare(cell: dict[str, Any], framework: str, **options: Any) -> Prepared:
    """Prepares forward and backward passes, as training takes them.

    Args:
      cell: The cell, with a batch, and sizes `event_shape` and `depth`.
      framework: `"tensorflow"` or `"torch"`.
      **options: Of the framework: `dtype`, `channels_last`.
    """
    sizes, batch = cell["sizes"], cell["batch"]
    height, width, channels = sizes["event_shape"]
    generator = np.random.default_rng(0)
    x = generator.normal(size=(batch, height, width, channels)).astype(np.float32)
    kernels = [
        (generator.normal(size=(3, 3, channels, channels)) / (9 * channels) ** 0.5)
        for _ in range(sizes["depth"])
    ]
    make = {"tensorflow": _tensorflow, "torch": _torch}[framework]
    run, threads = make(x, [k.astype(np.float32) for k in kernels], **options)
    # Forward, and backward to inputs and to kernels; the first has no input to go to.
    passes = 3 * len(kernels) - 1
    flop = passes * 2 * batch * height * width * 9 * channels**2
    return Prepared(
        operations={"train": run},
        parameters=sum(k.size for k in kernels),
        threads=threads,
        notes=[f"{flop / 1e9:.1f} GFLOP in a call"],
    )


def _tensorflow(x: np.ndarray, kernels: list[np.ndarray], dtype: str = "float32"):
    import tensorflow as tf

    inputs = tf.cast(x, dtype)
    variables = [tf.Variable(tf.cast(kernel, dtype)) for kernel in kernels]

    @tf.function
    def gradients():
        with tf.GradientTape() as tape:
            outputs = inputs
            for variable in variables:
                outputs = tf.nn.conv2d(outputs, variable, strides=1, padding="SAME")
        return tape.gradient(outputs, variables)

    return lambda: [tf.cast(g, "float32").numpy() for g in gradients()], tf_threads()


def _torch(x: np.ndarray, kernels: list[np.ndarray], channels_last: bool = False):
    import torch

    layout = torch.channels_last if channels_last else torch.contiguous_format
    inputs = torch.from_numpy(x).permute(0, 3, 1, 2).contiguous(memory_format=layout)
    weights = [
        torch.from_numpy(kernel)
        .permute(3, 2, 0, 1)
        .contiguous(memory_format=layout)
        .requires_grad_()
        for kernel in kernels
    ]

    def gradients():
        outputs = inputs
        for weight in weights:
            outputs = torch.nn.functional.conv2d(outputs, weight, padding=1)
        found = torch.autograd.grad(outputs.sum(), weights)
        return [gradient.numpy() for gradient in found]

    return gradients, torch_threads()
