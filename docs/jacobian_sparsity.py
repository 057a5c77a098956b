"""Computes which latents of a Real NVP depend on which pixels, for architecture.md.

    python docs/jacobian_sparsity.py
    python docs/jacobian_sparsity.py --presets

Both print a table of architecture.md; the first also draws its figure.
"""

import argparse
import pathlib

import numpy as np
import tensorflow as tf
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch

import tfp_realnvp as nvp
from tfp_realnvp.files import atomic_path
from tfp_realnvp.flows.presets import resolve_preset

IMAGE = pathlib.Path(__file__).parent / "images" / "jacobian_sparsity.png"
EXAMPLE = {"event_shape": (16, 16, 1), "num_scales": 3}
PRESETS = ("cifar10-small", "cifar10", "imagenet32", "celeba")
STATES = {"passes through": "#dbe4f0", "is transformed": "#1f4e9c", "has left": "white"}


def make_flow(seed, *, num_blocks=1, **sizes):
    """Returns a flow with random weights; some of a new one's are not.

    It is in float64, so that small derivatives can be told from 0.
    """
    flow = nvp.RealNVPBijector(
        filters=4, num_blocks=num_blocks, dtype=tf.float64, seed=seed, **sizes
    )
    noise = np.random.default_rng(seed)
    for variable in flow.trainable_variables:
        variable.assign_add(0.1 * noise.normal(size=variable.shape))
    return flow


def couplings(chain, y, to_image=lambda y: y):
    """Yields every coupling, its input and output, and which entries are in the flow.

    The last three have the shape of the image: squeezes are undone, and latents that
    have left are put back. Returns the latents.
    """
    for bijector in chain.bijectors:
        if isinstance(bijector, nvp.FactorOut):
            going_on, leaving = bijector.split(y)

            def merged(y, merge=bijector.merge, leaving=leaving, outer=to_image):
                return outer(merge(y, leaving))

            y = yield from couplings(bijector.bijector, going_on, merged)
            y = bijector.merge(y, leaving)
            continue
        before, y = y, bijector.inverse(y)
        if y.shape != before.shape:

            def to_image(y, bijector=bijector, outer=to_image):
                return outer(bijector.forward(y))

        if isinstance(bijector, nvp.AffineCoupling):
            inside = np.isnan(to_image(np.nan * y))
            yield bijector, to_image(before), to_image(y), inside
    return y


def nonzeros(function, points, entries):
    """Returns where the derivatives of entries of an image are not 0.

    Args:
      function: Maps images to images, or to a list of several.
      points: Where to take derivatives; rectifiers block different ones at each.
      entries: Numbers of the entries in the flattened image.

    Returns:
      For each image an array of `bool`, [entries, dimensions].
    """
    size = points[0].size
    directions = np.zeros([len(entries), size])
    directions[np.arange(len(entries)), entries] = 1
    found = False
    for point in points:
        # Examples are independent, so one pass serves all directions.
        x = tf.constant(np.repeat(point[np.newaxis], len(entries), axis=0))
        directions = directions.reshape(x.shape).astype(point.dtype)
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(x)
            images = tf.nest.flatten(function(x))
        rows = [tape.gradient(y, x, output_gradients=directions) for y in images]
        rows = np.reshape(rows, [len(images), len(entries), size])
        if not np.all(np.isfinite(rows)):
            raise ValueError("seed: expected one whose derivatives are all finite.")
        found = found | (rows != 0)
    return found


def make_points(shape, seed, count=4):
    """Returns random images, large enough that biases alone switch no rectifier."""
    return 10 * np.random.default_rng(seed).normal(size=[count, *shape])


def scale_of_latents(flow):
    """Returns the scale at which each latent leaves, from 1, in the image's layout."""
    latents = flow.split_latent(tf.zeros(flow.event_shape, flow.dtype))
    return flow.merge_latent([0 * z + i + 1 for i, z in enumerate(latents)]).numpy()


def stages(flow, seed):
    """Returns for each coupling the state of every entry, and the Jacobian so far."""
    points = make_points(flow.event_shape, seed)
    states = []
    for _, before, after, inside in couplings(flow.body, tf.constant(points)):
        changes = np.any(before.numpy() != after.numpy(), axis=0)
        states.append(np.where(inside[0], changes.astype(int), 2))
    patterns = nonzeros(
        lambda x: [after for _, _, after, _ in couplings(flow.body, x)],
        points,
        np.arange(points[0].size),
    )
    return states, patterns


def share(found):
    """Returns the share that is `True`, as "all" only if all are."""
    return "all" if found.all() else f"{found.mean():.1%}"


def stages_table(flow, states, patterns):
    """Returns the result of `stages` as a table in Markdown."""
    lines = [
        "| coupling | mask | events | in the flow | transformed | Jacobian not 0 |",
        "|---|---|---|---|---|---|",
    ]
    chain = couplings(flow.body, tf.zeros([1, *flow.event_shape], flow.dtype))
    for i, (coupling, *_) in enumerate(chain):
        mask = coupling.parameters["mask"]
        name = mask.func.__name__ + (", invert" if mask.keywords["invert"] else "")
        shape = " x ".join(map(str, coupling.event_shape))
        lines.append(
            f"| {i + 1} | `{name}` | {shape} | {np.mean(states[i] != 2):.1%} "
            f"| {np.mean(states[i] == 1):.1%} | {share(patterns[i])} |"
        )
    return "\n".join(lines)


def presets_table(names, seed, probes=64):
    """Returns in Markdown the pixels that some latents of each scale depend on."""
    lines = [
        "| preset | scale | pixels that a latent depends on | the fewest |",
        "|---|---|---|---|",
    ]
    for name in names:
        sizes = {k: v for k, v in resolve_preset(name).items() if k != "filters"}
        flow = make_flow(seed, **sizes)
        scales = scale_of_latents(flow).ravel()
        points = make_points(flow.event_shape, seed)
        random = np.random.default_rng(seed)
        for scale in range(1, flow.num_scales + 1):
            of_scale = np.flatnonzero(scales == scale)
            entries = random.choice(of_scale, probes, replace=False)
            found = nonzeros(flow.inverse, points, entries)[0]
            fewest = found[np.argmin(found.sum(axis=1))]
            lines.append(f"| `{name}` | {scale} | {share(found)} | {share(fewest)} |")
    return "\n".join(lines)


def draw(flow, states, patterns, path):
    """Draws the entries that each coupling transforms, and Jacobians after some."""
    figure = Figure(figsize=(9, 9), layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=[1, 2])
    above.suptitle("What each coupling does to the 16 x 16 pixels")
    colours = ListedColormap(list(STATES.values()))
    panels = above.subplots(2, 8)
    for i, (panel, state) in enumerate(zip(panels.flat, states, strict=True)):
        panel.imshow(state[..., 0], cmap=colours, vmin=0, vmax=2)
        panel.set_xlabel(f"coupling {i + 1}")
    patches = [Patch(facecolor=c, edgecolor="gray", label=s) for s, c in STATES.items()]
    above.legend(handles=patches, loc="outside lower center", ncols=3)

    below.suptitle(
        "Which of the 256 entries (rows) depend on which pixels (columns), in black"
    )
    scales = scale_of_latents(flow).ravel()
    order = np.argsort(scales, kind="stable")
    borders = np.flatnonzero(np.diff(scales[order])) + 0.5
    panels = below.subplots(2, 3)
    for i, panel in enumerate(panels.flat):
        pattern = patterns[i][np.ix_(order, order)]
        panel.imshow(pattern, cmap="gray_r", vmin=0, vmax=1, interpolation="nearest")
        for border in borders:
            panel.axhline(border, color="tab:red", linewidth=1)
            panel.axvline(border, color="tab:red", linewidth=1)
        panel.set_xlabel(f"after coupling {i + 1}: {share(patterns[i])}")
    for panel in figure.get_axes():
        panel.set(xticks=[], yticks=[])
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=90)


def main():
    """Prints a table and, without --presets, draws the figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--presets", action="store_true", help="probe real sizes")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", default=IMAGE, help="where the figure goes")
    arguments = parser.parse_args()

    if arguments.presets:
        print(presets_table(PRESETS, arguments.seed))
        return
    flow = make_flow(arguments.seed, **EXAMPLE)
    states, patterns = stages(flow, arguments.seed)
    print(stages_table(flow, states, patterns))
    draw(flow, states, patterns, arguments.output)


if __name__ == "__main__":
    main()
