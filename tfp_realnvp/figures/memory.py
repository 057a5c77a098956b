"""How much memory a picture takes, and how much there is."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_realnvp.bijectors import AffineCoupling

tfd = tfp.distributions

_CONTROL_GROUP = pathlib.Path("/sys/fs/cgroup")
# Arrays that are alive at once where a network is widest: of its hidden maps those of
# a residual block, its input, the sum of skips and what a convolution needs; of images
# the halves of a coupling, its shift and scale, and copies on the way. They reproduce
# the growth of a process that draws one image.
_HIDDEN_MAPS = 6
_IMAGES = 13
# Of all images that are drawn: latents, and the result.
_KEPT_IMAGES = 3


def estimated_bytes(
    flow: tfd.Distribution, height: int, width: int, *, count: int = 1
) -> int:
    """Returns about what drawing images of any size takes, one after the other.

    It is what is needed at once for the widest network of the flow, in its dtype.
    Weights, TensorFlow and Python are there already and do not count. On a CPU it was
    within a factor of 1.5 of what processes grew by, for flows of 16 to 64 feature
    maps.

    Args:
      flow: Transformed distribution from `image_flow`.
      height: Python `int`, of the images.
      width: Python `int`, of the images.
      count: Python `int`, number of images.

    Returns:
      Python `int`.

    #### Example

    ```python
    >>> import tfp_realnvp as nvp
    >>> from tfp_realnvp.figures import estimated_bytes
    >>> flow = nvp.image_flow(event_shape=(8, 8, 1), filters=8, num_blocks=1)
    >>> estimated_bytes(flow, 80, 80) // estimated_bytes(flow, 8, 8)
    100

    ```
    """
    own_height, own_width, channels = flow.event_shape
    pixels = height * width
    # Of every pixel of the image: deeper networks are wider, and have fewer pixels.
    hidden = max(
        (
            maps * own_pixels / (own_height * own_width) * size
            for maps, own_pixels, size in _networks(flow)
        ),
        default=0,
    )
    images = (_IMAGES + count * _KEPT_IMAGES) * channels * flow.dtype.size
    return int(pixels * (_HIDDEN_MAPS * hidden + images))


def available_bytes() -> int | None:
    """Returns how much memory is free, on a GPU if there is one.

    Returns:
      Python `int`, or `None` if the machine does not tell.
    """
    gpus = tf.config.list_logical_devices("GPU")
    if gpus:
        return _of_gpu(gpus[0].name)
    found = [value for value in (_of_machine(), _of_container()) if value is not None]
    return min(found, default=None)


def _networks(flow: tfd.Distribution) -> Iterator[tuple[int, int, int]]:
    """Yields hidden maps, pixels and bytes of a number for each coupling's network."""
    for bijector in flow.bijector.submodules:
        if isinstance(bijector, AffineCoupling):
            height, width, _ = bijector.event_shape
            network = bijector.network.network
            dtype = tf.as_dtype(network.compute_dtype)
            yield network.filters, height * width, dtype.size


def _of_gpu(name: str) -> int | None:
    # Nothing public tells how much TensorFlow may take.
    from tensorflow.python.client import device_lib

    limits = {d.name: d.memory_limit for d in device_lib.list_local_devices()}
    used = tf.config.experimental.get_memory_info(name)["current"]
    return limits[name] - used if name in limits else None


def _of_machine() -> int | None:
    try:
        lines = pathlib.Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return None


def _of_container() -> int | None:
    """Returns what a container may still take, where it is limited."""
    try:
        limit = (_CONTROL_GROUP / "memory.max").read_text().strip()
        used = int((_CONTROL_GROUP / "memory.current").read_text())
        lines = (_CONTROL_GROUP / "memory.stat").read_text().splitlines()
    except (OSError, ValueError):
        return None
    if limit == "max":
        return None
    # Cached files count as used, and are given up when memory is asked for.
    parts = {name: int(value) for name, value in (line.split() for line in lines)}
    used -= parts.get("inactive_file", 0) + parts.get("active_file", 0)
    return max(0, int(limit) - max(0, used))
