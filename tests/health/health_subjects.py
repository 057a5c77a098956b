"""A small flow whose health is asked for, and ways to read the answer."""

import numpy as np

import tfp_realnvp as nvp

IMAGES = np.random.default_rng(0).integers(0, 256, [32, 4, 4, 2], np.uint8)
SMALL = {"event_shape": (4, 4, 2), "filters": 4, "num_blocks": 1}
CHAIN = "flow.bijector.bijectors[1].body"


def image_model(**sizes):
    return nvp.FlowModel(nvp.image_flow(**{**SMALL, **sizes}, seed=0), seed=0)


def couplings(model):
    body = model.flow.bijector.bijectors[1].body
    return [b for b in body.bijectors if is_coupling(b)]


def is_coupling(bijector):
    return isinstance(bijector, nvp.AffineCoupling)


def kinds(report):
    return {finding.kind for finding in report.findings}


def only(report, kind):
    (finding,) = [f for f in report.findings if f.kind == kind]
    return finding
