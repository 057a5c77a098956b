"""The ways to copy a bijector."""

import copy
import json
import pickle

import pytest

from tfp_realnvp.flows.config import from_config, to_config

every_copy = pytest.mark.parametrize(
    "how",
    [
        copy.deepcopy,
        lambda b: pickle.loads(pickle.dumps(b)),
        lambda b: b.copy(name="copied"),
        lambda b: from_config(json.loads(json.dumps(to_config(b)))),
    ],
    ids=["deepcopy", "pickle", "copy", "config"],
)
