"""Scores events by an artifact, with nothing but the framework that wrote it.

Stands alone: it runs in a process of its own, where the library cannot be imported.
"""

import json
import pathlib
import sys

import numpy as np

LIBRARIES = (
    "tfp_realnvp",
    "tensorflow_probability",
    "keras",
    "tf_keras",
    "nflows",
    "normflows",
    "zuko",
    "models",
)


def main(folder: pathlib.Path) -> None:
    x = np.load(folder / "x.npy")
    if (folder / "saved_model.pb").exists():
        import tensorflow as tf

        hide_libraries()
        model = tf.saved_model.load(str(folder))
        scores = model.log_prob(tf.constant(x)).numpy()
    else:
        import torch

        hide_libraries()
        if (folder / "flow.pt2").exists():
            log_prob = torch.export.load(folder / "flow.pt2").module()
        else:
            log_prob = torch.jit.load(str(folder / "flow.pt"))
        torch.manual_seed(0)
        scores = log_prob(torch.from_numpy(x)).detach().numpy()
    print(json.dumps(scores.tolist()))


def hide_libraries() -> None:
    """Lets every import of a library fail from now on."""
    for name in LIBRARIES:
        sys.modules[name] = None


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
