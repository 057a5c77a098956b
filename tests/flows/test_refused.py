"""Arguments that cannot make a flow, and their errors."""

import keras
import pytest
import tensorflow as tf

import tfp_realnvp as nvp

VECTOR, IMAGE = (3,), (8, 8, 1)
DENSE, BFLOAT16 = keras.layers.Dense(2), "mixed_bfloat16"
ROWS = [
    # Sizes that do not fit the events.
    ((1,), {}, "event_shape: expected at least two dimensions"),
    ((2, 3), {}, r"event_shape: expected three positive ints .* got \(2, 3\)"),
    ((8, 8, 0), {}, r"event_shape: expected three positive ints .* got \(8, 8, 0\)"),
    ((9, 8, 1), {}, r"num_scales: expected at most 1 .* divisible .* got 2"),
    ((12, 12, 1), {"num_scales": 4}, "num_scales: expected at most 3 .*12, 12.* got 4"),
    (IMAGE, {"num_scales": 4}, r"at most 3 for event_shape \(8, 8, 1\), .* got 4"),
    (IMAGE, {"num_scales": 0}, "num_scales: expected a positive int, got 0"),
    (IMAGE, {"filters": 2.5}, "filters: expected a positive int, got 2.5"),
    (IMAGE, {"num_blocks": -1}, "num_blocks: expected an int from 1 to 1000"),
    (VECTOR, {"num_couplings": 1}, "num_couplings: expected at least 2"),
    (VECTOR, {"hidden_units": 64}, "hidden_units: expected a sequence .* got 64"),
    (VECTOR, {"hidden_units": (4, 0)}, r"hidden_units: expected .* got \(4, 0\)"),
    (VECTOR, {"activation": keras.layers.PReLU()}, "activation: .* without weights"),
    (VECTOR, {"hidden_units": (4, 8), "residual": True}, "equal widths .* got .4, 8"),
    (VECTOR, {"condition_size": -1}, "condition_size: expected a positive int"),
    (VECTOR, {"architecture": nvp.MultiScale()}, "architecture: .* got Multi"),
    (IMAGE, {"architecture": nvp.CouplingStack()}, "architecture: .* got Coup"),
    # Choices.
    (IMAGE, {"batch_norm": "layer"}, "batch_norm: .* got 'layer'"),
    (IMAGE, {"momentum": 1.5}, "momentum: .* got 1.5"),
    (VECTOR, {"memory": "x"}, 'memory: expected "stored" or "recompute", got '),
    (VECTOR, {"memory": True}, 'memory: expected "stored" or "recompute", got '),
    (VECTOR, {"dtype": tf.bfloat16}, "dtype: expected .* got 'bfloat16'"),
    (VECTOR, {"network_dtype": "mixed_float16"}, f'"float32" or "{BFLOAT16}", got'),
    (VECTOR, {"network_dtype": "bfloat16"}, f'"float32" or "{BFLOAT16}", got'),
    (VECTOR, {"network_dtype": tf.float32}, f'"float32" or "{BFLOAT16}", got'),
    (VECTOR, {"network_dtype": BFLOAT16, "dtype": "float64"}, 'expected "float64"'),
    (VECTOR, {"network_dtype": "float32", "dtype": "float64"}, 'expected "float64"'),
    # Parts.
    (VECTOR, {"num_scales": 2}, "num_scales: .* sizes activation, hidden_units, inv"),
    (IMAGE, {"num_scale": 2}, "num_scale: expected no argument"),
    (IMAGE, {"hidden_units": (8,)}, "hidden_units: expected no argument .* filters"),
    (VECTOR, {"conditioner": print, "hidden_units": (8,)}, "hidden_units: .* num_c"),
    (VECTOR, {"conditioner": DENSE}, "conditioner: .* a function"),
    (VECTOR, {"conditioner": lambda n: n}, "conditioner: .* a Keras layer, got 4"),
    (VECTOR, {"transform": lambda p: p}, "transform: .* tells its num_p"),
]


@pytest.mark.parametrize(("event_shape", "arguments", "message"), ROWS)
def test_bad_arguments_are_refused_with_what_came(event_shape, arguments, message):
    with pytest.raises((ValueError, TypeError), match=message):
        nvp.RealNVPBijector(event_shape, **arguments)
