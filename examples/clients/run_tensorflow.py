"""Calls every signature of an exported flow with TensorFlow alone.

    python run_tensorflow.py SAVED_MODEL INPUTS.npz OUTPUTS.npz

INPUTS.npz holds an array for each input, under its name, or under SIGNATURE/NAME for
one signature alone, such as score_images/x for 8-bit images. OUTPUTS.npz gets an array
SIGNATURE/OUTPUT for each result. A signature is called if all its inputs are there.
"""

import sys

import numpy as np
import tensorflow as tf


def main(directory, inputs, outputs):
    given, found = dict(np.load(inputs)), {}
    for name, function in tf.saved_model.load(directory).signatures.items():
        arguments = {}
        for spec in function.structured_input_signature[1].values():
            value = given.get(f"{name}/{spec.name}", given.get(spec.name))
            if value is not None:
                arguments[spec.name] = tf.constant(value, spec.dtype)
        if len(arguments) == len(function.structured_input_signature[1]):
            for key, value in function(**arguments).items():
                found[f"{name}/{key}"] = value.numpy()
    np.savez(outputs, **found)


if __name__ == "__main__":
    main(*sys.argv[1:])
