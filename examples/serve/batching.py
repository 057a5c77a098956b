"""Puts concurrent requests together into one call of a model."""

import asyncio
import collections
import contextlib
import dataclasses
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

_ALONE = object()


class Full(Exception):
    """The queue has no room for a request; a later one may succeed."""


@dataclasses.dataclass
class _Part:
    key: Hashable
    call: Callable
    rows: dict[str, np.ndarray]
    size: int
    arrived: float
    future: asyncio.Future


class Batcher:
    """A queue, and `lanes` threads that each take one batch at a time from it.

    While all threads are busy, requests gather by themselves. A free thread waits for
    more requests until `max_wait` seconds after the first one has arrived.
    """

    def __init__(self, *, max_batch, max_wait, max_queued, lanes):
        self.max_batch = max_batch
        self.max_wait = max_wait
        self.max_queued = max_queued
        self.pool = ThreadPoolExecutor(lanes)
        self._lanes = lanes
        self._tasks = []
        self._queue = collections.deque()
        self._queued = 0
        self._arrived = asyncio.Event()
        # One lane at a time collects a batch, or two would take half of it each.
        self._collecting = asyncio.Lock()

    def start(self):
        self._tasks = [asyncio.create_task(self._lane()) for _ in range(self._lanes)]

    async def close(self):
        """Ends the threads, after the calls that they are in."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.to_thread(self.pool.shutdown)

    async def submit(self, key, call, rows):
        """Returns the result of `call(**rows)`, computed with other rows of this `key`.

        Args:
          key: Hashable; requests of equal keys may share a call.
          call: Function of arrays with a row each per item, to a `dict` of such.
          rows: `dict` of arrays with equally many rows. More than `max_batch` of them
            are divided among several calls.

        Raises:
          Full: If no room is left for all rows.
        """
        count = len(next(iter(rows.values())))
        starts = range(0, count, self.max_batch)
        pieces = [
            {k: v[i : i + self.max_batch] for k, v in rows.items()} for i in starts
        ]
        sizes = [min(self.max_batch, count - i) for i in starts]
        outputs = await self._put(key, call, pieces, sizes)
        return {k: np.concatenate([o[k] for o in outputs]) for k in outputs[0]}

    async def submit_alone(self, call, size):
        """Returns the result of `call()`, which counts as `size` rows in the queue."""
        (outputs,) = await self._put(_ALONE, call, [{}], [size])
        return outputs

    async def _put(self, key, call, pieces, sizes):
        if self._queued + sum(sizes) > self.max_queued:
            raise Full(f"{self._queued} of at most {self.max_queued} places are taken")
        loop = asyncio.get_running_loop()
        parts = [
            _Part(key, call, rows, size, loop.time(), loop.create_future())
            for rows, size in zip(pieces, sizes, strict=True)
        ]
        self._queue.extend(parts)
        self._queued += sum(sizes)
        self._arrived.set()
        return await asyncio.gather(*[part.future for part in parts])

    async def _lane(self):
        loop = asyncio.get_running_loop()
        while True:
            async with self._collecting:
                batch = await self._collect()
            # A request that has timed out needs no answer.
            batch = [part for part in batch if not part.future.done()]
            if not batch:
                continue
            outputs = await loop.run_in_executor(self.pool, _run, batch)
            for part, output in zip(batch, outputs, strict=True):
                if part.future.done():
                    continue
                if isinstance(output, Exception):
                    part.future.set_exception(output)
                else:
                    part.future.set_result(output)

    async def _collect(self):
        while not self._queue:
            await self._next_arrival()
        first = self._queue[0]
        deadline = first.arrived + self.max_wait
        while not self._is_full(first.key):
            left = deadline - asyncio.get_running_loop().time()
            if left <= 0:
                break
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._next_arrival(), left)
        return self._take(first.key)

    async def _next_arrival(self):
        self._arrived.clear()
        await self._arrived.wait()

    def _is_full(self, key):
        if key is _ALONE:
            return True
        sizes = (part.size for part in self._queue if part.key == key)
        return sum(sizes) >= self.max_batch

    def _take(self, key):
        batch, others, room = [], [], self.max_batch
        for part in self._queue:
            if part.key == key and (part.size <= room or not batch):
                batch.append(part)
                room = 0 if key is _ALONE else room - part.size
            else:
                others.append(part)
        self._queue = collections.deque(others)
        self._queued -= sum(part.size for part in batch)
        return batch


def _run(batch):
    """Returns the outputs of each part, or its exception, computed together."""
    try:
        return _split(batch, batch[0].call(**_joined(batch)))
    except Exception as error:
        if len(batch) == 1:
            return [error]
        # Each is called alone to find the bad one; the others get their answers.
        return [outputs for part in batch for outputs in _run([part])]


def _joined(batch):
    if len(batch) == 1:
        return batch[0].rows
    names = batch[0].rows
    return {name: np.concatenate([p.rows[name] for p in batch]) for name in names}


def _split(batch, outputs):
    if len(batch) == 1:
        return [outputs]
    ends = np.cumsum([part.size for part in batch])[:-1]
    pieces = {name: np.split(value, ends) for name, value in outputs.items()}
    return [{k: v[i] for k, v in pieces.items()} for i in range(len(batch))]
