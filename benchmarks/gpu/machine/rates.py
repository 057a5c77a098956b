"""Reference rates for speeds, and the report with both."""

import statistics
import time

# NVIDIA's figures for dense products, in operations a second. Products of float32 may
# be made in TF32.
_HOPPER = {"float32": 66.9e12, "tf32": 494.7e12, "bfloat16": 989.4e12}
PEAKS = {"H100": _HOPPER, "H200": _HOPPER}
# Couplings at 32 x 32, and at 16 x 16 with twice the maps, of two scales.
_SHAPES = ((3, 32, 1), (7, 16, 2))
_REPEATS = 20


def measure_convolutions(batch_size, filters, dtype):
    """Returns operations a second of bare 3 x 3 convolutions and their gradients."""
    import jax
    import jax.numpy as jnp

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
        total, layout = 0.0, ("NHWC", "HWIO", "NHWC")
        for images, kernels in chains:
            for kernel in kernels:
                images = jax.lax.conv_general_dilated(
                    images, kernel, (1, 1), "SAME", dimension_numbers=layout
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


def make_report(log, about, peer):
    """Returns the log of `train.py` with speed, shares of peaks, and the peer's part.

    `about` is what `pack` told; `peer` what `peer.py` found of each way to run the
    PyTorch flow.
    """
    report = {**log, "peer": peer}
    if not log["chunks"]:
        return report
    speed = statistics.median(chunk["images_per_second"] for chunk in log["chunks"])
    rate = speed * about["training_flops"]
    bare = log.get("operations_per_second_of_bare_convolutions")
    speeds = [way["images_per_second"] for way in peer if "images_per_second" in way]
    is_float32 = about["network_dtype"] == "float32"
    precisions = ("float32", "tf32") if is_float32 else ("bfloat16",)
    peaks = next(
        (peaks for name, peaks in PEAKS.items() if name in log["device"]), None
    )
    return {
        **report,
        "images_per_second": speed,
        "operations_per_second": rate,
        "share_of_peak": peaks and {name: rate / peaks[name] for name in precisions},
        "share_of_bare_convolutions": bare and rate / bare,
        "times_the_peer": speed / max(speeds) if speeds else None,
    }
