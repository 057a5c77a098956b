"""zuko."""

import zuko

from features import CONDITION_SIZE, READY, SIZE, Attempt, Flow, Subject
from features import with_torch as tools


def vectors(features=SIZE, context=0):
    flow = zuko.flows.RealNVP(
        features, context=context, transforms=4, hidden_features=[8]
    )
    return Flow(
        flow,
        lambda x: flow().log_prob(x),
        lambda count: flow().sample((count,)),
        lambda x: flow().transform.call_and_ladj(x),
        tools.named(flow, "hyper"),
        ("`rsample_and_log_prob`", lambda n: flow().rsample_and_log_prob((n,))),
    )


def conditional():
    flow = vectors(context=CONDITION_SIZE).module
    x = tools.normal([4, SIZE])
    return x, lambda c: flow(c).log_prob(x)


SUBJECT = Subject(
    tools,
    flow=vectors,
    images=[Attempt(READY, "`RealNVP`", lambda: vectors(tools.IMAGE_SHAPE))],
    vectors=[Attempt(READY, "`RealNVP`", vectors)],
    conditions=[Attempt(READY, "context", conditional)],
)
