"""Layers, bijectors, masks and flows, and what they are given."""

import numpy as np
import small_subjects as small
import tensorflow as tf
import tensorflow_probability as tfp
from bad_values import arrays, junk, tensors
from clear_errors import Entry, assert_numbers
from hypothesis import strategies as st

import tfp_realnvp as nvp
from tfp_realnvp.flows.config import from_config, to_config

tfb = tfp.bijectors
tfd = tfp.distributions
just = st.just

FLOATS = ["float32", "float64", "int32", "uint8", "bool", "complex64", "float16"]
FILLS = (0, 1, -1, 255, 1e30, float("nan"), float("inf"))
# TFP's own methods turn what they are given into tensors, with TensorFlow's errors.
values = st.one_of(arrays(fills=FILLS), tensors, junk)


def layer(make, *shape, **good):
    """A Keras layer, made and called on zeros of `shape`."""

    def call(**arguments):
        return make(**arguments)(tf.zeros(shape))

    return Entry(
        call,
        {k: just(v) for k, v in good.items()},
        check=lambda r, a: assert_numbers(r),
    )


def made(make, check=lambda r, a: None, names=(), **good):
    strategies = {
        k: v if isinstance(v, st.SearchStrategy) else just(v) for k, v in good.items()
    }
    return Entry(lambda **a: make(**a), strategies, check=check, names=names)


def _mlp_head():
    return nvp.ShiftAndLogScale(nvp.MLP(2, hidden_units=(2,), seed=0))


def _check_mask(result, arguments):
    assert result.dtype == tf.bool
    assert result.shape.rank == len(arguments["event_shape"])


def mask(make, event_shape, **more):
    return made(make, _check_mask, event_shape=event_shape, **more)


def _check_coupling(bijector, arguments):
    x = tf.zeros([2, *bijector.event_shape])
    assert_numbers(bijector.forward(x))


def _check_real_nvp(bijector, arguments):
    x = tf.zeros([1, *bijector.event_shape], bijector.dtype)
    kwargs = {"condition": [0]} if bijector.condition_size else {}
    y = bijector.forward(x, **kwargs)
    assert y.shape == x.shape
    assert_numbers(y)


def _check_flow(flow, arguments):
    assert flow.event_shape.rank == 3


def method(name, method, *shape):
    """A method of a bijector, for values of any shape, dtype and size."""

    def call(value, **kwargs):
        return getattr(small.bijector(name), method)(value, **kwargs)

    def check(result, arguments):
        value = _as_numbers(arguments["value"])
        # What is not finite, or overflows float32, stays so.
        if np.isfinite(value).all() and np.abs(value).max(initial=0) < 1e9:
            assert_numbers(result)

    good = {"value": just(np.full([2, *shape], 0.5, np.float32))}
    if method.endswith("jacobian"):
        good["event_ndims"] = just(len(shape))
    if name == "vectors_by_class":
        good["condition"] = just([0, 1])
    bad = {"value": values, "event_ndims": junk, "condition": junk}
    words = (
        "ndims",
        "x",
        "y",
        "network",
        "pixels",
        "input",
        "shape",
        "rank",
        "event",
        "dtype",
    )
    return Entry(call, good, bad, check, names=words, by_tfp=True)


def _log_prob(flow, value, condition=None):
    kwargs = {} if condition is None else {"bijector_kwargs": {"condition": condition}}
    return flow().log_prob(value, **kwargs)


def _as_numbers(value):
    """Returns the numbers that TensorFlow makes of a value: NaN of None."""
    if isinstance(value, np.ndarray) and value.dtype == object:
        return value.astype(np.float64)
    return np.asarray(tf.convert_to_tensor(value), np.float64)


def density(flow, *shape, condition=None):
    good = {"value": just(np.full([2, *shape], 0.5, np.float32))}
    if condition is not None:
        good["condition"] = just(condition)

    def check(result, arguments):
        array = _as_numbers(arguments["value"])
        # Vector flows do not check their values: NaN is the density of NaN.
        if flow is small.flow or np.isfinite(array).all():
            assert_numbers(result)

    # Images of any size go through the flow; it is TFP's base that has only one.
    words = ("x", "y", "pixels", "input", "shape", "dtype", "event")
    words += ("Incompatible shapes",)
    return Entry(
        lambda **a: _log_prob(flow, **a),
        good,
        {"value": values},
        check,
        names=words,
        by_tfp=True,
    )


def _check_bits(result, arguments):
    if isinstance(arguments["log_prob"], tf.RaggedTensor):
        # Each entry becomes its own, and NumPy has no such arrays.
        assert isinstance(result, tf.RaggedTensor)
        return
    if np.isfinite(np.asarray(arguments["log_prob"], np.float64)).all():
        assert_numbers(result)


def _check_config(result, arguments):
    assert result is None or isinstance(result, (bool, int, float, str, list, dict)), (
        type(result)
    )


def _split_latent(**arguments):
    return small.bijector("real_nvp").split_latent(**arguments)


def _merge_latent(**arguments):
    return small.bijector("real_nvp").merge_latent(**arguments)


_LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 9),
    st.sampled_from([10**12, 10**13, 10**30]),
    st.floats(),
    st.sampled_from(["__import__", "__class__", "os", "eval", "Exp", "Normal", "tfb"]),
    st.text(max_size=4),
)
_TYPES = [
    "object",
    "layer",
    "list",
    "tuple",
    "dict",
    "dtype",
    "shape",
    "again",
    "array",
    "tensor",
    "variable",
    "mask",
    "activation",
    "transformed_variable",
    "__class__",
    "__init__",
    "code",
]
_NAMES = [
    "Exp",
    "Chain",
    "Invert",
    "Inline",
    "Reshape",
    "Blockwise",
    "RealNVPBijector",
    "AffineCoupling",
    "Normal",
    "TransformedDistribution",
    "Independent",
    "__import__",
    "__loader__",
    "__builtins__",
    "np",
    "tf",
    "inline_mcmc",
    "autoregressive",
    "JointDistributionCoroutine",
    "real_nvp_default_template",
]


def _nodes(inner):
    things = st.one_of(_LEAVES, inner, st.lists(inner, max_size=2))
    return st.one_of(
        st.fixed_dictionaries({"type": st.sampled_from(_TYPES), "of": things}),
        st.fixed_dictionaries(
            {
                "type": just("object"),
                "space": st.sampled_from(["tfb", "tfd", "tfp_realnvp", "os", "keras"]),
                "name": st.sampled_from(_NAMES),
                "of": st.dictionaries(
                    st.sampled_from(["bijector", "event_shape", "loc", "name", "x"]),
                    things,
                    max_size=3,
                ),
            }
        ),
        st.fixed_dictionaries(
            {
                "type": st.sampled_from(["array", "tensor", "variable"]),
                "of": st.fixed_dictionaries(
                    {
                        "dtype": st.sampled_from(
                            ["float32", "string", "resource", "?"]
                        ),
                        "shape": st.sampled_from([[2], [10**12], [-1], [], None, "x"]),
                        "bytes": st.sampled_from(["AAAAAAAAAAA=", "", "%%", None]),
                    }
                ),
                "trainable": _LEAVES,
                "name": _LEAVES,
            }
        ),
        st.fixed_dictionaries(
            {
                "type": just("layer"),
                "of": st.fixed_dictionaries(
                    {
                        "module": st.sampled_from(
                            [
                                "os",
                                "builtins",
                                "keras.layers",
                                "keras.utils",
                                "subprocess",
                            ]
                        ),
                        "class_name": st.sampled_from(
                            ["system", "eval", "Lambda", "Dense", "get_file", "MLP"]
                        ),
                        "config": things,
                        "registered_name": _LEAVES,
                    }
                ),
            }
        ),
    )


configs = st.recursive(_LEAVES, _nodes, max_leaves=6)


@st.composite
def mutated_flow_configs(draw):
    """The configuration of a flow with something else at one place."""
    config = tf.nest.map_structure(lambda x: x, small.flow_config())
    node = config
    for _ in range(draw(st.integers(0, 6))):
        keys = sorted(node, key=str) if isinstance(node, dict) else range(len(node))
        inner = [k for k in keys if isinstance(node[k], (dict, list)) and node[k]]
        if not inner:
            break
        node = node[draw(st.sampled_from(inner))]
    keys = sorted(node, key=str) if isinstance(node, dict) else list(range(len(node)))
    key = draw(st.sampled_from(keys))
    if isinstance(node, dict) and draw(st.booleans()):
        del node[key]
    else:
        node[key] = draw(st.one_of(configs, _LEAVES))
    return config


SHIFT = {"initial_gain": 0.5, "gain_regularizer": None}
NET = {"seed": 0, "condition_size": None}
NORM = {"batch_norm": "batch", "momentum": 0.9, "magnitude_regularizer": None}

ENTRIES = {
    "MLP": layer(
        nvp.MLP,
        2,
        3,
        output_units=2,
        hidden_units=(2,),
        activation="gelu",
        residual=False,
        **NET,
    ),
    "ResNet": layer(
        nvp.ResNet,
        1,
        4,
        4,
        1,
        output_channels=2,
        filters=2,
        num_blocks=1,
        crelu=True,
        **NORM,
        **NET,
    ),
    "ResidualBlock": layer(nvp.ResidualBlock, 1, 4, 4, 2, filters=2, seed=0, **NORM),
    "WeightNormConv2D": layer(
        nvp.WeightNormConv2D,
        1,
        4,
        4,
        2,
        filters=2,
        kernel_size=3,
        learn_magnitude=True,
        initial_magnitude=1.0,
        use_bias=True,
        magnitude_regularizer=None,
        direction_initializer=None,
    ),
    "ShiftAndLogScale": made(
        lambda **a: nvp.ShiftAndLogScale(**a),
        network=st.builds(lambda: nvp.MLP(2, hidden_units=(2,), seed=0)),
        **SHIFT,
    ),
    "BatchMoments": layer(nvp.BatchMoments, 2, 3, normalize_by="batch", momentum=0.9),
    "BatchNormalization": layer(
        nvp.BatchNormalization,
        2,
        3,
        normalize_by="batch",
        momentum=0.9,
        epsilon=1e-4,
        affine=True,
    ),
    "AffineCoupling": made(
        nvp.AffineCoupling,
        _check_coupling,
        event_shape=(2,),
        network=st.builds(_mlp_head),
        mask=nvp.channel_mask,
        condition_size=None,
        validate_args=False,
        name="coupling",
    ),
    "BatchNorm": made(
        nvp.BatchNorm,
        event_shape=(3,),
        moments=None,
        mask=None,
        epsilon=1e-4,
        validate_args=False,
        name="norm",
    ),
    "FactorOut": made(
        nvp.FactorOut,
        event_shape=(2, 2, 4),
        bijector=tfb.Scale(2.0),
        mask=nvp.channel_mask,
        validate_args=False,
        name="factor_out",
    ),
    "FusedChain": made(
        nvp.FusedChain, bijectors=[tfb.Scale(2.0)], validate_args=False, name="chain"
    ),
    "InvertibleConv": made(
        nvp.InvertibleConv,
        event_shape=(2, 2, 3),
        mixing=None,
        validate_args=True,
        name="conv",
    ),
    "PixelLogit": made(nvp.PixelLogit, alpha=0.05, validate_args=True, name="logit"),
    "Squeeze": made(nvp.Squeeze, validate_args=True, name="squeeze"),
    "checkerboard_mask": mask(nvp.checkerboard_mask, (4, 4, 1), invert=False),
    "channel_mask": mask(nvp.channel_mask, (4, 4, 2), invert=True),
    "alternating_mask": mask(nvp.alternating_mask, (5,), invert=False),
    "diagonal_mask": mask(nvp.diagonal_mask, (2, 2, 4)),
    "RealNVPBijector of images": made(
        nvp.RealNVPBijector,
        _check_real_nvp,
        event_shape=(4, 4, 1),
        num_scales=1,
        filters=2,
        num_blocks=1,
        condition_size=None,
        batch_norm="auto",
        momentum=0.9,
        l2=5e-5,
        seed=0,
        body=None,
        dtype=tf.float32,
        network_dtype=None,
        memory="stored",
        validate_args=False,
        name="real_nvp",
        num_couplings=None,
        hidden_units=None,
        activation=None,
        residual=None,
    ),
    "RealNVPBijector of vectors": made(
        nvp.RealNVPBijector,
        _check_real_nvp,
        event_shape=(3,),
        num_couplings=2,
        hidden_units=(2,),
        activation="gelu",
        residual=False,
        condition_size=3,
        batch_norm=None,
        momentum=0.9,
        l2=5e-5,
        seed=0,
        body=None,
        dtype=tf.float64,
        network_dtype=None,
        memory="reversible",
        validate_args=True,
        name="real_nvp",
        num_scales=None,
        filters=None,
        num_blocks=None,
        invertible_conv=None,
        crelu=None,
    ),
    "image_flow": made(
        nvp.image_flow,
        _check_flow,
        preset=None,
        event_shape=(4, 4, 1),
        base=None,
        alpha=0.05,
        validate_args=True,
        name="flow",
        num_scales=1,
        filters=2,
        num_blocks=1,
    ),
    "bits_per_dim": Entry(
        nvp.bits_per_dim,
        {"log_prob": just(np.float32([1.0])), "event_shape": just((2, 2, 3))},
        check=_check_bits,
    ),
    "freeze": Entry(nvp.freeze, {"flow": just(small.vectors())}),
    "split_latent": Entry(
        _split_latent,
        {"x": just(np.zeros([2, 4, 4, 1], np.float32))},
        {"x": values},
        by_tfp=True,
    ),
    "merge_latent": Entry(
        _merge_latent,
        {"latents": just([np.zeros([1, 2, 2, 2], np.float32)] * 2)},
        by_tfp=True,
    ),
    "to_config": Entry(
        to_config,
        {"value": just(small.vectors())},
        check=_check_config,
        names=("flow",),
    ),
    "from_config": Entry(
        from_config,
        {"config": just(small.flow_config())},
        {"config": st.one_of(configs, mutated_flow_configs(), mutated_flow_configs())},
        names=("flow",),
    ),
    "log_prob": density(small.flow, 4, 4, 1),
    "log_prob of vectors": density(small.vectors, 3),
    "log_prob by class": density(lambda: small.vectors(3), 3, condition=[0, 1]),
    **{
        f"{name}.{m}": method(name, m, *shape)
        for name, shape in (
            ("coupling", (2,)),
            ("batch_norm", (3,)),
            ("factor_out", (2, 2, 4)),
            ("invertible_conv", (1, 2, 2, 3)),
            ("squeeze", (4, 4, 4)),
            ("pixel_logit", ()),
            ("chain", (4, 4, 4)),
            ("real_nvp", (4, 4, 1)),
            ("vectors", (3,)),
            ("vectors_by_class", (3,)),
        )
        for m in (
            "forward",
            "inverse",
            "forward_log_det_jacobian",
            "inverse_log_det_jacobian",
        )
    },
}
