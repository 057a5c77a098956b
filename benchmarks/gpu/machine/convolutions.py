"""The rate that bare convolutions reach here: what a step can be measured by."""

from __future__ import annotations

import time

import jax
import jax.numpy as jnp

# Couplings at 32 x 32, and at 16 x 16 with twice the maps, of two scales.
_SHAPES = ((3, 32, 1), (7, 16, 2))
_REPEATS = 20


def measure_rate(batch_size: int, filters: int, dtype: str) -> float:
    """Returns operations a second of 3 x 3 convolutions and their gradients."""
    chains, operations = [], 0
    for depth, side, width in _SHAPES:
        maps = filters * width
        key = jax.random.key(side)
        images = jax.random.normal(key, [batch_size, side, side, maps], dtype)
        kernels = jax.random.normal(key, [depth, 3, 3, maps, maps], dtype)
        chains.append((images, kernels / (9 * maps) ** 0.5))
        # Of the output, of the gradient by the input, and of that by the kernel.
        operations += 3 * 2 * depth * batch_size * (side * maps * 3) ** 2

    def loss(chains):
        total = 0.0
        for images, kernels in chains:
            for kernel in kernels:
                images = jax.lax.conv_general_dilated(
                    images, kernel, (1, 1), "SAME", dimension_numbers=_LAYOUT
                )
            total += jnp.sum(images**2, dtype=jnp.float32)
        return total

    run = jax.jit(jax.grad(loss)).lower(chains).compile()
    jax.block_until_ready(run(chains))
    begin = time.monotonic()
    for _ in range(_REPEATS):
        found = run(chains)
    jax.block_until_ready(found)
    return operations * _REPEATS / (time.monotonic() - begin)


_LAYOUT = ("NHWC", "HWIO", "NHWC")
