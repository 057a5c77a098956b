import functools
import json
import math
import pathlib
import re

import fresh_process
import numpy as np
import pytest
import saved_flows
import tensorflow as tf
import tensorflow_probability as tfp
from constructors import perturb

import tfp_realnvp as nvp
from tfp_realnvp.serving.signatures import signatures_of

tfd = tfp.distributions

# One worker makes the artifacts for all.
pytestmark = pytest.mark.xdist_group("signatures")

SEED = [3, 4]


def bfloat16(seed):
    base = tfd.Sample(tfd.Normal(0.0, 1.0), 2)
    flow = nvp.RealNVPBijector(
        (2,), network_dtype="mixed_bfloat16", seed=seed, **saved_flows.SMALL
    )
    return tfd.TransformedDistribution(base, flow)


def conditional_image(seed):
    sizes = {"num_scales": 1, "filters": 4, "num_blocks": 1, "condition_size": 3}
    return nvp.image_flow(event_shape=(4, 4, 1), seed=seed, **sizes)


FLOWS = {
    "vector": saved_flows.vector,
    "mixture": saved_flows.mixture,
    "bfloat16": bfloat16,
    "conditional_image": conditional_image,
}


def inputs(flow):
    """Arguments for every signature; integers as pixels suit all of them."""
    rng = np.random.default_rng(0)
    shape = (3, *flow.event_shape)
    parameters = {"num_samples": 3, "num_draws": 4, "seed": SEED, "temperature": 0.7}
    return {
        "x": rng.integers(0, 256 if len(shape) == 4 else 2, shape),
        "latents": rng.normal(size=shape),
        "condition": rng.normal(size=[3, 3]),
        **parameters,
    }


def perturbed(flow):
    perturb(flow)
    return flow


@functools.cache
def functions_of(name):
    """A flow and the functions of its artifact."""
    flow = perturbed(saved_flows.FLOWS[name](seed=1))
    return flow, signatures_of(nvp.freeze(flow))


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """Returns flows, what they were given, and what a fresh process made of it."""
    folder = tmp_path_factory.mktemp("served")
    flows = {folder / name: perturbed(make(seed=1)) for name, make in FLOWS.items()}
    given = {directory: inputs(flow) for directory, flow in flows.items()}
    for directory, flow in flows.items():
        nvp.export_saved_model(flow, directory)
    found = fresh_process.serve(given)
    return {d.name: (flow, given[d], found[d]) for d, flow in flows.items()}


def live(flow, given):
    """What the flow itself gives; like the artifact, not eagerly."""
    x, kwargs, found = tf.constant(given["x"], flow.dtype), {}, {}
    if hasattr(flow, "bijector"):
        condition = tf.constant(given["condition"], flow.dtype)
        takes_condition = getattr(flow.bijector, "condition_size", None)
        own = {"condition": condition} if takes_condition else {}
        kwargs = {"bijector_kwargs": own}
        drawn = flow.distribution.sample(3, seed=SEED) * given["temperature"]
        samples = flow.bijector.forward(drawn, **own)
        latents = tf.constant(given["latents"], flow.dtype)
        found["encode/latents"] = flow.bijector.inverse(tf.identity(x), **own)
        found["decode/samples"] = flow.bijector.forward(latents, **own)
    else:
        samples = flow.sample(3, seed=SEED)
    return {
        **found,
        "serving_default/log_prob": flow.log_prob(x, **kwargs),
        "sample/samples": samples,
        "sample/log_prob": flow.log_prob(samples, **kwargs),
    }


@pytest.mark.parametrize("name", FLOWS)
def test_tensorflow_alone_gives_the_same_numbers_in_a_fresh_process(served, name):
    flow, given, found = served[name]
    expected = tf.function(lambda: live(flow, given))()
    for key, value in expected.items():
        np.testing.assert_allclose(found[key], value, rtol=1e-5, atol=1e-4, err_msg=key)


def test_signatures_are_those_that_mean_something_for_the_flow(served):
    outputs = {name: set(found) for name, (_, _, found) in served.items()}
    always = {"serving_default/log_prob", "sample/samples", "sample/log_prob"}
    both_ways = always | {"encode/latents", "decode/samples"}
    pixels = {"serving_default/bits_per_dim", "sample/images", "decode/images"}
    scores = {"score_images/log_prob", "score_images/bits_per_dim"}
    assert outputs["mixture"] == always
    assert outputs["vector"] == outputs["bfloat16"] == both_ways
    assert outputs["conditional_image"] == both_ways | pixels | scores
    _, _, found = served["conditional_image"]
    for name in ("serving_default", "score_images"):
        expected = nvp.bits_per_dim(found[f"{name}/log_prob"], (4, 4, 1))
        np.testing.assert_allclose(found[f"{name}/bits_per_dim"], expected, rtol=1e-6)
    for name in ("sample", "decode"):
        whole = np.clip(np.floor(found[f"{name}/samples"]), 0, 255)
        assert found[f"{name}/images"].dtype == np.uint8
        np.testing.assert_array_equal(found[f"{name}/images"], whole)


@pytest.fixture
def image():
    return functions_of("image")


def images(count):
    return np.random.default_rng(1).integers(0, 256, [count, 4, 4, 1]).astype(np.uint8)


def call(functions, name, *arguments):
    return functions[name](*map(tf.constant, arguments))


def score(functions, x, num_draws, seed=SEED):
    return call(functions, "score_images", x, num_draws, seed)["log_prob"].numpy()


def test_scores_of_8_bit_images_are_the_mean_density_over_draws_of_noise(image):
    flow, functions = image
    x = images(5)
    densities = []
    for draw in range(4):
        own = tf.random.experimental.stateless_fold_in(SEED, draw)
        noise = tf.random.stateless_uniform([4, 4, 1], own)
        densities.append(flow.log_prob(x.astype(np.float32) + noise))
    assert np.ptp(densities, axis=0).min() > 0.01
    expected = tf.reduce_logsumexp(densities, axis=0) - math.log(4)
    np.testing.assert_allclose(score(functions, x, 4), expected, rtol=1e-5)
    np.testing.assert_allclose(score(functions, x, 1), densities[0], rtol=1e-5)


def test_the_score_of_an_image_depends_on_neither_its_place_nor_its_neighbours(image):
    _, functions = image
    x = images(5)
    together = score(functions, x, 2)
    np.testing.assert_allclose(score(functions, x[::-1], 2)[::-1], together, rtol=1e-6)
    np.testing.assert_allclose(score(functions, x[3:4], 2), together[3:4], rtol=1e-6)
    assert np.all(score(functions, x, 2, seed=[3, 5]) != together)


def sample(functions, count=4, seed=(0, 1), temperature=1.0):
    return call(functions, "sample", count, seed, temperature)


def test_samples_are_a_function_of_seed_and_temperature(image):
    _, functions = image
    first = sample(functions)
    np.testing.assert_array_equal(sample(functions)["samples"], first["samples"])
    assert np.all(sample(functions, seed=(0, 2))["samples"] != first["samples"])
    cold = sample(functions, temperature=0.5)["samples"]
    latents = [functions["encode"](x)["latents"] for x in (first["samples"], cold)]
    np.testing.assert_allclose(latents[1], latents[0] / 2, atol=1e-4)
    # The temperature is not in the density.
    drawn = sample(functions, temperature=0.5)
    log_prob = functions["serving_default"](drawn["samples"])["log_prob"]
    np.testing.assert_allclose(drawn["log_prob"], log_prob, rtol=1e-5)
    still = sample(functions, temperature=0.0)["samples"]
    np.testing.assert_array_equal(still, np.broadcast_to(still[:1], still.shape))


def test_extreme_latents_and_images_have_a_density(image):
    _, functions = image
    signs = np.random.default_rng(0).choice([-1, 1], [8, 4, 4, 1])
    for size in (1e1, 1e2, 1e3):
        decoded = functions["decode"](tf.constant(size * signs, tf.float32))
        log_prob = functions["serving_default"](decoded["samples"])["log_prob"]
        assert np.all(np.isfinite(log_prob))
    for values in ([0, 0], [255, 255], [0, 255]):
        x = np.resize(np.uint8(values), [2, 4, 4, 1])
        assert np.all(np.isfinite(score(functions, x, 3)))
        real = tf.constant(x, tf.float32)
        assert np.all(np.isfinite(functions["serving_default"](real)["log_prob"]))


PIXELS, VECTORS, CONDITIONS = tf.zeros([2, 4, 4, 1]), tf.zeros([2, 2]), tf.zeros([2, 3])
DRAWN = [2, SEED, 1.0]
BAD = {
    "image": [
        ("serving_default", [PIXELS + math.nan], "x: expected pixels .* NaN in] [32"),
        ("serving_default", [PIXELS + 300], "x: expected pixels .* [300] [to] [300]"),
        ("serving_default", [PIXELS - 20], "x: expected pixels"),
        ("serving_default", [PIXELS[:0]], "x: expected one example or more"),
        ("encode", [PIXELS + math.inf], "x: expected pixels"),
        ("decode", [PIXELS + math.nan], "latents: expected finite"),
        ("decode", [PIXELS[:0]], "latents: expected one example or more"),
        ("sample", [0, SEED, 1.0], "num_samples: expected 1 or more"),
        ("sample", [2, SEED, -0.5], "temperature: expected 0 or more"),
        ("sample", [2, SEED, math.nan], "temperature: expected 0 or more"),
        ("score_images", [images(2), 0, SEED], "num_draws: expected 1 or more"),
        ("score_images", [images(0), 1, SEED], "x: expected one example or more"),
        ("score_images", [images(2), [1, 2], SEED], "num_draws: expected the same"),
        ("sample", [[[2]], SEED, 1.0], "num_samples: expected shape [] .* got] [1 1]"),
        ("sample", [2, [1, 2, 3], 1.0], "seed: expected shape [2] .* got] [3]"),
        ("sample", [2, 1, 1.0], "seed: expected shape [2] .* got] []"),
        ("sample", [2, [SEED, [0, 0]], 1.0], "seed: expected the same"),
    ],
    "vector": [
        ("serving_default", [VECTORS + math.nan], "x: expected finite numbers"),
        ("encode", [VECTORS + math.inf], "x: expected finite numbers"),
        ("decode", [VECTORS + 3e38], "samples: expected finite numbers"),
    ],
    "conditional": [
        ("serving_default", [VECTORS, CONDITIONS[:1]], "with N the examples of x"),
        ("encode", [VECTORS, CONDITIONS + math.nan], "condition: expected finite"),
        ("sample", [*DRAWN, CONDITIONS[:1]], "N the num_samples,] [2] [, got] [1 3]"),
        ("decode", [VECTORS, CONDITIONS[:1]], "with N the latents"),
    ],
}


@pytest.mark.parametrize(
    ("flow", "name", "arguments", "message"),
    [(flow, *row) for flow, rows in BAD.items() for row in rows],
)
def test_bad_input_is_an_error_that_names_it(flow, name, arguments, message):
    _, functions = functions_of(flow)
    with pytest.raises(tf.errors.InvalidArgumentError) as error:
        call(functions, name, *arguments)
    for part in message.split(" .* "):
        assert part in error.value.message


def test_a_density_may_be_zero_but_no_number_it_is_not():
    _, functions = functions_of("vector")
    far = functions["serving_default"](VECTORS + 1e25)["log_prob"]
    np.testing.assert_array_equal(far, [-math.inf, -math.inf])
    with pytest.raises(tf.errors.InvalidArgumentError, match="log_prob: expected the"):
        functions["serving_default"](VECTORS + 3e38)


def test_a_conditional_flow_answers_rows_as_columns():
    _, functions = functions_of("conditional")
    in_columns = call(functions, "sample", *DRAWN, CONDITIONS)
    in_rows = call(functions, "sample", *([d, d] for d in DRAWN), CONDITIONS)
    np.testing.assert_array_equal(in_rows["samples"], in_columns["samples"])


def requests():
    """Yields the requests in docs/serving.md, and what is said to come of them."""
    page = (pathlib.Path(__file__).parents[2] / "docs" / "serving.md").read_text()
    blocks = re.findall(r"^```json\n(.*?)^```$", page, re.M | re.S)
    assert len(blocks) == 2 * 5
    return [json.loads(block) for block in blocks]


def as_tensors(request, function):
    """Does what TensorFlow Serving does with a request: rows make a batch."""
    specs = {s.name: s for s in function.structured_input_signature[0]}
    if "inputs" in request:
        given = request["inputs"]
    else:
        rows = request["instances"]
        given = {name: [row[name] for row in rows] for name in rows[0]}
    assert set(given) == set(specs)
    return [tf.constant(given[name], spec.dtype) for name, spec in specs.items()]


def test_requests_of_the_documentation_are_answered_alike_in_rows_and_columns():
    sizes = {"num_scales": 1, "filters": 4, "num_blocks": 1, "seed": 0}
    flow = nvp.image_flow(event_shape=(2, 2, 1), **sizes)
    functions = signatures_of(nvp.freeze(flow))
    answers = {}
    for request in requests():
        name = request.get("signature_name", "serving_default")
        outputs = functions[name](*as_tensors(request, functions[name]))
        answers.setdefault(name, []).append(outputs)
    assert set(answers) == set(functions)
    for in_columns, in_rows in answers.values():
        for key, value in in_columns.items():
            np.testing.assert_array_equal(in_rows[key], value)


def count_of(function, kind):
    graph = function.graph.as_graph_def()
    nodes = [*graph.node, *(n for f in graph.library.function for n in f.node_def)]
    return sum(node.op == kind for node in nodes)


def test_every_network_is_in_each_function_once(image):
    _, vectors = functions_of("vector")
    # Three networks of two layers.
    assert {count_of(f, "MatMul") for f in vectors.values()} == {3 * 2}
    _, functions = image
    (convolutions,) = {count_of(f, "Conv2D") for f in functions.values()}
    assert convolutions > 0
