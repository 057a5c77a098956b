"""Measures how exactly trained flows go there and back, in float32 and in float64.

    python benchmarks/round_trip.py runs/cifar10 --images 64 --data-dir my/tfds

Prints Markdown tables: errors of the round trips by scale and of the log-determinant,
in either precision with the same weights; the same by depth, over the first couplings
from the data on; and what extreme latents and images come to.
"""

import argparse
import math

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_realnvp as nvp
from tfp_realnvp.bijectors.fused_chain import Invert
from tfp_realnvp.figures.latents import as_pixels, draw_latents
from tfp_realnvp.flows.call_arguments import condition_vectors, distribution_kwargs
from tfp_realnvp.health.measures import Errors, measure_round_trips
from tfp_realnvp.runs.run_directory import RunDirectory

PRECISIONS = ("float32", "float64")
EXTREMES = (10, 100, 1000)

tfd = tfp.distributions


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="+", help="folders of the runs")
    parser.add_argument("--data-dir", help="where the data are now, if elsewhere")
    parser.add_argument("--images", type=int, default=64, help="test images to use")
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0, help="of jitter and samples")
    parser.add_argument("--weights", default="last", help="last, best or average")
    arguments = parser.parse_args()
    for run in arguments.runs:
        directory = RunDirectory(run)
        data = directory.load_config().load_data(arguments.data_dir)
        images = data.test.take(arguments.images)
        conditions = data.test.take_conditions(arguments.images)
        flows = load_in_all_precisions(directory, arguments.weights)
        # The same jittered images for both, which float32 holds exactly.
        pixels = as_pixels(flows["float32"], images, seed=arguments.seed)
        vectors = condition_vectors(flows["float32"], conditions, len(images))
        print(f"\n### {directory.path.name}, {len(images)} test images\n")
        print_tables(flows, pixels, vectors, arguments)


def load_in_all_precisions(directory, weights="last"):
    """Returns the flow of a run in either precision, with the same weights."""
    config = directory.load_config()
    options = {**config.flow, "seed": config.seed}
    options.pop("network_dtype", None)
    trained = directory.load_model(weights)
    flows = {}
    for precision in PRECISIONS:
        model = nvp.FlowModel(nvp.image_flow(**options, dtype=tf.as_dtype(precision)))
        pairs = zip(model.flow.variables, trained.flow.variables, strict=True)
        for variable, value in pairs:
            variable.assign(tf.cast(value, variable.dtype))
        flows[precision] = model.flow
    return flows


def print_tables(flows, pixels, vectors, arguments):
    found = {
        precision: measure_round_trips(
            flow,
            pixels.astype(precision),
            None if vectors is None else vectors.astype(precision),
            seed=arguments.seed,
            batch_size=arguments.batch_size,
        )
        for precision, flow in flows.items()
    }
    rows = [("error", *(f"{p}, {what}" for p in PRECISIONS for what in WHAT))]
    rows.append(("data, pixel values", *errors_of(found, lambda t: t.on_data)))
    for scale in range(len(found["float32"].on_samples)):
        name = f"samples, latents of scale {scale + 1}"
        rows.append((name, *errors_of(found, lambda t, i=scale: t.on_samples[i])))
    rows.append(("log-det, nats", *errors_of(found, lambda t: t.log_det_drift)))
    print_table(rows)
    single, double = (found[p].log_prob.astype(float) for p in PRECISIONS)
    shape = flows["float32"].event_shape
    difference = np.abs(nvp.bits_per_dim(single - double, shape)).max()
    print(
        f"\nScores in float32 and float64 differ by {difference:.1e} bits/dim at most."
    )
    print("\nBy depth, from the data on, there and back:\n")
    print_table(list(by_depth(flows, pixels, vectors, arguments.batch_size)))
    print("\nExtremes:\n")
    print_table(list(extremes(flows, vectors)))


WHAT = ("largest", "mean")


def errors_of(found, of):
    summaries = (Errors.of(of(found[precision])) for precision in PRECISIONS)
    return [f"{v:.1e}" for errors in summaries for v in (errors.max, errors.mean)]


def by_depth(flows, pixels, vectors, batch_size):
    """Yields rows: couplings, largest error of the pixels and of the log-det."""
    what = [f"{p}, {w}" for p in PRECISIONS for w in ("pixels", "log-det, nats")]
    yield ("couplings", "scale", *what)
    parts = {p: list(prefixes(f.bijector.bijectors[1].body)) for p, f in flows.items()}
    for depth in range(len(parts["float32"])):
        row = []
        for precision, flow in flows.items():
            _, chain = parts[precision][depth]
            bijector = nvp.FusedChain([flow.bijector.bijectors[0], chain])
            base = tfd.Independent(
                tfd.Normal(tf.zeros(flow.event_shape, flow.dtype), 1), 3
            )
            part = tfd.TransformedDistribution(base, bijector)
            size = min(batch_size, len(pixels))
            x = pixels[:size].astype(precision)
            given = None if vectors is None else vectors[:size].astype(precision)
            trips = measure_round_trips(part, x, given, batch_size=size)
            row += [Errors.of(e).max for e in (trips.on_data, trips.log_det_drift)]
        scale = parts["float32"][depth][0]
        yield (str(depth + 1), str(scale), *(f"{v:.1e}" for v in row))


def prefixes(chain, scale=1):
    """Yields the flow's first couplings from the data on: scale, bijector."""
    members = chain.bijectors
    for i, member in enumerate(members):
        if isinstance(member, nvp.AffineCoupling):
            following = members[i + 1 : i + 2]
            norms = [b for b in following if isinstance(b, nvp.BatchNorm)]
            # Whatever follows changes the layout of the latents alone.
            inner = [*members[: i + 1], *norms]
            squeezes = [b for b in inner if isinstance(b, Invert)]
            yield scale, nvp.FusedChain([*inner, *(b.bijector for b in squeezes)])
        if isinstance(member, nvp.FactorOut):
            for depth, inner in prefixes(member.bijector, scale + 1):
                outer = [*members[:i], member.copy(bijector=inner), *members[i + 1 :]]
                yield depth, nvp.FusedChain(outer)


def extremes(flows, vectors):
    """Yields rows: what, smallest and largest pixel or latent, and log_prob."""
    columns = ("image", "log_prob")
    yield ("", *(f"{p}, {c}" for p in PRECISIONS for c in columns))
    rows = {f"latents, base times {r}": r for r in EXTREMES}
    for name, radius in rows.items():
        yield (
            name,
            *[cell for f in flows.values() for cell in far_out(f, vectors, radius)],
        )
    for value in (0, 255, 256):
        cells = []
        for flow in flows.values():
            image = np.full([1, *flow.event_shape], value, flow.dtype.as_numpy_dtype)
            log_prob = flow.log_prob(image, **arguments_of(flow, vectors, 1)).numpy()
            bits = float(nvp.bits_per_dim(log_prob, flow.event_shape)[0])
            cells += ["", in_words(bits)]
        yield (f"all pixels {value}", *cells)


def far_out(flow, vectors, radius):
    given = None if vectors is None else vectors[:8].astype(flow.dtype.name)
    latents = radius * draw_latents(flow, 8, seed=1, condition=given)
    kwargs = arguments_of(flow, vectors, 8)
    images = flow.bijector.forward(latents, **kwargs.get("bijector_kwargs", {}))
    if not np.isfinite(images).all():
        share = np.isfinite(images).mean()
        return f"{share:.1%} finite", "not taken"
    # A tensor of its own: nothing is known of where it came from.
    log_prob = flow.log_prob(tf.identity(images), **kwargs)
    bits = nvp.bits_per_dim(log_prob.numpy(), flow.event_shape)
    low, high = images.numpy().min(), images.numpy().max()
    return f"{low:.1f} to {high:.1f}", in_words(bits.max())


def arguments_of(flow, vectors, count):
    given = {}
    if vectors is not None:
        given["condition"] = vectors[:count].astype(flow.dtype.name)
    return distribution_kwargs(flow, training=False, **given)


def in_words(bits):
    return f"finite, {bits:.3g} bits/dim" if math.isfinite(bits) else str(bits)


def print_table(rows):
    header, *others = rows
    print("| " + " | ".join(header) + " |")
    print("|" + "---|" * len(header))
    for row in others:
        print("| " + " | ".join(row) + " |")


if __name__ == "__main__":
    main()
