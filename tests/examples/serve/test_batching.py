import asyncio
import threading

import numpy as np
import pytest


class Calls:
    """A model whose calls wait until they are released."""

    def __init__(self):
        self.sizes, self.released = [], threading.Event()

    def double(self, x):
        self.sizes.append(len(x))
        self.released.wait(timeout=60)
        if (x < 0).any():
            raise ValueError("negative")
        return {"y": 2 * x}


def batch(serve, arrays, keys=None, **options):
    """Returns the outputs, sizes of calls and what the queue refused."""
    options = {"max_batch": 4, "max_wait": 0.2, "max_queued": 100, **options}
    calls = Calls()

    async def run():
        batcher = serve("batching").Batcher(lanes=1, **options)
        batcher.start()
        rows = [{"x": np.array(x)} for x in arrays]
        submitted = [
            asyncio.ensure_future(batcher.submit(key, calls.double, row))
            for key, row in zip(keys or [0] * len(rows), rows, strict=True)
        ]
        asyncio.get_running_loop().call_later(0.1, calls.released.set)
        outputs = await asyncio.gather(*submitted, return_exceptions=True)
        await batcher.close()
        return outputs

    outputs = [getattr(o, "get", lambda _, o=o: o)("y") for o in asyncio.run(run())]
    return outputs, calls.sizes


@pytest.mark.parametrize(
    ("arrays", "keys", "sizes"),
    [
        ([[1], [2, 3], [4], [5, 6], [7]], None, [4, 3]),
        ([[*range(10)]], None, [4, 4, 2]),  # divided
        ([[1], [2], [3], [4]], "abab", [2, 2]),  # other options share no call
    ],
)
def test_requests_share_calls_up_to_the_largest_batch(serve, arrays, keys, sizes):
    outputs, found = batch(serve, arrays, keys)
    assert [y.tolist() for y in outputs] == [[2 * x for x in xs] for xs in arrays]
    assert found == sizes


def test_a_request_that_fails_fails_alone(serve):
    outputs, sizes = batch(serve, [[1], [-2], [3], [4]])
    assert isinstance(outputs.pop(1), ValueError)
    assert [y.tolist() for y in outputs] == [[2], [6], [8]]
    assert sizes == [4, 1, 1, 1, 1]


def test_a_queue_takes_a_request_wholly_or_not(serve):
    outputs, sizes = batch(serve, [[1], [1, 2, 3, 4, 5], [2]], max_queued=5)
    assert "1 of at most 5 places are taken" in str(outputs.pop(1))
    assert [y.tolist() for y in outputs] == [[2], [4]]
    assert sizes == [2]
