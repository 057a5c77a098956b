"""Measures the round-trip errors of trained flows, in float32 and in float64.

    python benchmarks/round_trip.py runs/cifar10 --images 64 --data-dir my/tfds

Prints Markdown tables: errors of round trips by scale and of the log-determinant, in
both precisions with the same weights; the same by depth, through the first couplings
counted from the data; and the results for extreme latents and images.
"""

import argparse
import math

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from harness.tables import table

import tfp_realnvp as nvp
from tfp_realnvp.figures.latents import as_pixels, draw_latents
from tfp_realnvp.flows import condition_vectors, distribution_kwargs
from tfp_realnvp.health.measures import Errors, measure_round_trips
from tfp_realnvp.runs import RunDirectory

PRECISIONS = ("float32", "float64")
EXTREMES = (10, 100, 1000)

tfd = tfp.distributions


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="+", help="folders of the runs")
    parser.add_argument("--data-dir", help="place of the data, if it has changed")
    parser.add_argument("--images", type=int, default=64, help="test images to use")
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0, help="of noise and samples")
    parser.add_argument("--weights", default="last", help="last, best or average")
    arguments = parser.parse_args()
    for run in arguments.runs:
        directory = RunDirectory(run)
        data = directory.load_config().load_data(arguments.data_dir)
        images = data.test.take(arguments.images)
        flows = in_all_precisions(directory, arguments.weights)
        # Both get the same noise, which float32 holds exactly.
        pixels = as_pixels(flows["float32"], images, seed=arguments.seed)
        conditions = data.test.take_conditions(arguments.images)
        vectors = condition_vectors(flows["float32"], conditions, len(images))
        print(f"\n### {directory.path.name}, {len(images)} test images\n")
        print_tables(flows, pixels, vectors, arguments)


def in_all_precisions(directory, weights):
    """Returns the flow of a run in both precisions, with the same weights."""
    config = directory.load_config()
    options = {**config.flow, "seed": config.seed, "network_dtype": None}
    trained, flows = directory.load_model(weights).flow, {}
    for precision in PRECISIONS:
        flow = nvp.image_flow(**options, dtype=tf.as_dtype(precision))
        # A model is what builds the networks' variables.
        flows[precision] = nvp.FlowModel(flow).flow
        for variable, value in zip(flow.variables, trained.variables, strict=True):
            variable.assign(tf.cast(value, variable.dtype))
    return flows


def print_tables(flows, pixels, vectors, arguments):
    found = {
        precision: measured(flow, pixels, vectors, arguments.batch_size, arguments.seed)
        for precision, flow in flows.items()
    }

    def row(name, of):
        summaries = [Errors.of(of(trips)) for trips in found.values()]
        return [name, *(f"{v:.1e}" for e in summaries for v in (e.max, e.mean))]

    rows = [row("data, pixel values", lambda trips: trips.on_data)]
    for i in range(len(found["float32"].on_samples)):
        name = f"samples, latents of scale {i + 1}"
        rows.append(row(name, lambda trips, i=i: trips.on_samples[i]))
    rows.append(row("log-det, nats", lambda trips: trips.log_det_drift))
    print(table(["error", *columns("largest", "mean")], rows))
    single, double = (trips.log_prob.astype(float) for trips in found.values())
    shape = flows["float32"].event_shape
    difference = np.abs(nvp.bits_per_dim(single - double, shape)).max()
    print(f"\nScores in both differ by {difference:.1e} bits/dim at most.")
    print("\nBy depth, from the data on, there and back:\n")
    header = ["couplings", "scale", *columns("pixels", "log-det, nats")]
    print(table(header, list(by_depth(flows, pixels, vectors, arguments.batch_size))))
    print("\nExtremes:\n")
    print(table(["", *columns("image", "log_prob")], list(extremes(flows, vectors))))


def columns(*names):
    return [f"{precision}, {name}" for precision in PRECISIONS for name in names]


def measured(flow, pixels, vectors, batch_size, seed=0):
    dtype, options = flow.dtype.name, {"seed": seed, "batch_size": batch_size}
    given = None if vectors is None else vectors.astype(dtype)
    return measure_round_trips(flow, pixels.astype(dtype), given, **options)


def by_depth(flows, pixels, vectors, size):
    """Yields rows: couplings, scale, largest error of the pixels and of the log-det."""
    pixels, vectors = pixels[:size], None if vectors is None else vectors[:size]
    parts = [list(prefixes(flow.bijector.bijectors[1].body)) for flow in flows.values()]
    for depth, prefix in enumerate(zip(*parts, strict=True), start=1):
        cells = []
        for flow, (_, chain) in zip(flows.values(), prefix, strict=True):
            bijector = nvp.FusedChain([flow.bijector.bijectors[0], chain])
            zeros = tf.zeros(flow.event_shape, flow.dtype)
            base = tfd.Independent(tfd.Normal(zeros, 1), 3)
            part = tfd.TransformedDistribution(base, bijector)
            trips = measured(part, pixels, vectors, len(pixels))
            cells += [Errors.of(e).max for e in (trips.on_data, trips.log_det_drift)]
        yield [depth, prefix[0][0], *(f"{value:.1e}" for value in cells)]


def prefixes(chain, scale=1):
    """Yields scale and chain of the first couplings, counted from the data."""
    members = chain.bijectors
    for i, member in enumerate(members):
        if isinstance(member, nvp.AffineCoupling):
            following = members[i + 1 : i + 2]
            norms = [b for b in following if isinstance(b, nvp.BatchNorm)]
            # Later bijectors change only the layout of the latents.
            inner = [*members[: i + 1], *norms]
            squeezes = [b.bijector for b in inner if type(b).__name__ == "_Invert"]
            yield scale, nvp.FusedChain([*inner, *squeezes])
        if isinstance(member, nvp.FactorOut):
            for depth, inner in prefixes(member.bijector, scale + 1):
                outer = [*members[:i], member.copy(bijector=inner), *members[i + 1 :]]
                yield depth, nvp.FusedChain(outer)


def extremes(flows, vectors):
    """Yields rows: what, smallest and largest pixel, and log_prob."""
    for radius in EXTREMES:
        cells = [far_out(flow, vectors, radius) for flow in flows.values()]
        yield [f"latents, base times {radius}", *(c for cell in cells for c in cell)]
    for value in (0, 255, 256):
        cells = []
        for flow in flows.values():
            image = tf.fill([1, *flow.event_shape], tf.cast(value, flow.dtype))
            log_prob = flow.log_prob(image, **kwargs_of(flow, vectors, 1))
            bits = nvp.bits_per_dim(log_prob.numpy(), flow.event_shape)
            cells += ["", in_words(bits[0])]
        yield [f"all pixels {value}", *cells]


def far_out(flow, vectors, radius):
    kwargs = kwargs_of(flow, vectors, 8)
    of_bijector = kwargs.get("bijector_kwargs", {})
    condition = of_bijector.get("condition")
    latents = radius * draw_latents(flow, 8, seed=1, condition=condition)
    images = flow.bijector.forward(latents, **of_bijector).numpy()
    if not np.isfinite(images).all():
        return f"{np.isfinite(images).mean():.1%} finite", "not taken"
    bits = nvp.bits_per_dim(flow.log_prob(images, **kwargs).numpy(), flow.event_shape)
    return f"{images.min():.1f} to {images.max():.1f}", in_words(bits.max())


def kwargs_of(flow, vectors, count):
    condition = None if vectors is None else vectors[:count].astype(flow.dtype.name)
    return distribution_kwargs(flow, training=False, condition=condition)


def in_words(bits):
    return f"finite, {bits:.3g} bits/dim" if math.isfinite(bits) else str(bits)


if __name__ == "__main__":
    main()
