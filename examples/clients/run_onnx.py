"""Runs `serving_default` of an exported flow in ONNX Runtime.

    python -m tf2onnx.convert --saved-model SAVED_MODEL \
        --signature_def serving_default --opset 17 --output flow.onnx
    python run_onnx.py flow.onnx INPUTS.npz OUTPUTS.npz

INPUTS.npz holds an array for each input, under its name, and OUTPUTS.npz gets one for
each result. ONNX has no assertions, so check inputs beforehand for NaN and values that
the SavedModel would refuse.
"""

import sys

import numpy as np
import onnxruntime


def main(path, inputs, outputs):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    given = np.load(inputs)
    arguments = {i.name: given[i.name] for i in session.get_inputs()}
    names = [output.name for output in session.get_outputs()]
    results = session.run(names, arguments)
    np.savez(outputs, **dict(zip(names, results, strict=True)))


if __name__ == "__main__":
    main(*sys.argv[1:])
