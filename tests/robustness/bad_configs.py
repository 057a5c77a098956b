"""Configurations of flows and runs in which something is not as it should be."""

import json

import small_subjects as small
import tensorflow as tf
from hypothesis import strategies as st

just = st.just

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
    "function",
    "registered",
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


JSON = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-2, 9),
        st.floats(),
        st.sampled_from([10**12, 10**30, 0, "digits", "__import__", "../..", "\0", ""]),
        st.text(max_size=3),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner)
    ),
    max_leaves=4,
)


@st.composite
def mutated_run_configs(draw):
    """The text of a `config.json` in which something is another."""
    values = json.loads((small.run_path() / "config.json").read_text())
    node = values["flow"] if draw(st.booleans()) else values
    key = draw(st.sampled_from([*sorted(node), "unknown", "__class__", "base"]))
    if draw(st.integers(0, 3)) == 0:
        node.pop(key, None)
    else:
        node[key] = draw(JSON)
    return json.dumps(values)
