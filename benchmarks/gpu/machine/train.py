"""Trains on the GPU machine what `python benchmarks/gpu pack` has packed.

`call.py` starts it. It compiles while the images travel, chooses the best batch size,
trains until the end that go.json names, and times bare convolutions and the PyTorch
flow. The folder that `latest` names is complete at any time.
"""

import concurrent.futures
import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time

STARTED = time.time()
FOLDER = pathlib.Path(__file__).resolve().parent
# The PyTorch flow needs the rest of the device's memory.
os.environ.setdefault("XLA_PYTHON_CLIENT_MEM_FRACTION", "0.4")

import jax  # noqa: E402
import jax_run  # noqa: E402
import ml_dtypes  # noqa: E402
import numpy as np  # noqa: E402
from batch_order import batch_indices  # noqa: E402
from initial import digest_of, make_all  # noqa: E402
from rates import make_report, measure_convolutions  # noqa: E402
from sheets import read_sheets  # noqa: E402
from state_parts import read_parts, write_parts  # noqa: E402

# Larger weights come back in 16 bits; what is smaller is exact.
_SMALL = 10_000
_PART_BYTES = 15 * 2**20
# A larger batch is taken if it is so much faster; see README.md.
WORTH = 1.3


class Trainer:
    """Programs, state, what `pack` told, and the log, which becomes the report."""

    def __init__(self):
        self.about = json.loads((FOLDER / "pack.json").read_text(encoding="utf-8"))
        device = jax.devices()[0]
        self.log = {"device": device.device_kind, "jax": jax.__version__, "step": 0}
        self.log |= {"seconds": {}, "chunks": [], "evaluations": []}
        self._seed = self.about["seed"]
        self._published = 0
        with self._timed("initial weights"):
            state = make_all(self._seed, self.about["initial"])
            if digest_of(state) != self.about["initial_digest"]:
                sys.exit("initial weights: expected those of the other side")
            # What came back last time, if it was packed.
            paths = sorted(map(str, FOLDER.glob("start-[0-9]*.npz")))
            if paths:
                start, self.log["start"] = read_parts(paths)
                state.update(start)
        sizes = self.about["batch_sizes"]
        steps = {n: jax_run.load_step(FOLDER, f"step_b{n}") for n in sizes}
        self._evaluation = jax_run.load_step(FOLDER, "eval")
        for constants in FOLDER.glob("*_const.npz"):
            state.update(np.load(constants))
        self._state = jax.device_put(state)
        self._compile(steps)

    @contextlib.contextmanager
    def _timed(self, what):
        begin = time.time()
        yield
        self.log["seconds"][what] = round(time.time() - begin, 2)
        now = time.time() - STARTED
        print(f"{now:6.1f} s: {what} in {time.time() - begin:.1f} s", flush=True)

    def _compile(self, steps):
        def compiled(make, step, part, count):
            shape = (count, step.batch)
            images = [self.about["images"][part], *step.args[0]["shape"][1:]]
            data = {"image": jax.ShapeDtypeStruct(images, np.uint8)}
            index, seeds = np.zeros(shape, np.int32), np.zeros((count, 2), np.int32)
            return make(step).lower(self._state, data, index, seeds).compile()

        with self._timed("compiling"), concurrent.futures.ThreadPoolExecutor() as pool:
            chunk, make = self.about["chunk"], jax_run.make_chunk
            training = {
                size: pool.submit(compiled, make, step, "train", chunk)
                for size, step in steps.items()
            }
            # A batch at a time: every minute a few are scored, at the end all.
            make = jax_run.make_eval_chunk
            evaluation = pool.submit(compiled, make, self._evaluation, "test", 1)
            self._programs = {size: f.result() for size, f in training.items()}
            self._evaluate = evaluation.result()

    def wait_for_images(self):
        """Takes the images in when they have come; returns when training ends."""
        with self._timed("waiting for images"):
            wanted = sum(self.about["sheets"].values(), ["go.json"])
            while not all((FOLDER / name).exists() for name in wanted):
                time.sleep(0.2)
        with self._timed("reading images"):
            self._images = {}
            for part, names in self.about["sheets"].items():
                count = self.about["images"][part]
                images = read_sheets([FOLDER / name for name in names], count)
                self._images[part] = jax.device_put({"image": images})
            jax.block_until_ready(self._images)
        go = json.loads((FOLDER / "go.json").read_text(encoding="utf-8"))
        self.log["peer_seconds"] = go["peer_seconds"]
        return go["end"]

    def choose_batch_size(self):
        """Times a few steps of each batch size on copies of the state."""
        with self._timed("measuring batch sizes"):
            speeds = {size: self._speed(size) for size in self.about["batch_sizes"]}
        chosen = min(speeds)
        for size in sorted(speeds):
            # Twice the batch makes up for fewer updates if it is fast enough.
            if speeds[size] >= WORTH * speeds[chosen]:
                chosen = size
        self.log["images_per_second_by_batch_size"] = speeds
        self.log["batch_size"] = chosen
        rate = self.about["learning_rates"][str(chosen)]
        self._set("learning_rate", rate)
        print(f"images/s {speeds}; batches of {chosen}, rate {rate}", flush=True)

    def _speed(self, size):
        state, seconds = jax.tree.map(lambda value: value.copy(), self._state), 0.0
        # The first warms up.
        for _ in range(3):
            begin = time.monotonic()
            state, results = self._programs[size](state, *self._batches(size))
            jax.block_until_ready((state, results))
            seconds = time.monotonic() - begin
        return size * self.about["chunk"] / seconds

    def _batches(self, size):
        begin, count = self.log["step"], self.about["images"]["train"]
        steps = range(begin, begin + self.about["chunk"])
        index = [batch_indices(count, size, step, self._seed) for step in steps]
        seeds = [(self._seed, step) for step in steps]
        return self._images["train"], np.stack(index), np.array(seeds, np.int32)

    def _set(self, name, value):
        variable = self.about["names"][name]
        self._state[variable] = jax.device_put(np.float64(value))

    def train(self, end):
        """Trains until then, by a schedule that goes by the clock; or so many steps."""
        begin = last = time.time()
        size, planned = self.log["batch_size"], self.about["steps"]
        while True:
            now, step = time.time(), self.log["step"]
            if step >= planned if planned else now >= end:
                break
            # At step / steps of the schedule, as much is over as of the time.
            progress = (now - begin) / (end - begin)
            self._set("steps", planned or max(step, 1) / max(progress, 1e-6))
            self._state, results = self._programs[size](
                self._state, *self._batches(size)
            )
            results = [np.asarray(result, np.float64) for result in results]
            seconds = time.time() - now
            self.log["step"] += len(results[0])
            named = zip(self.about["results"], results, strict=True)
            means = {name: float(values.mean()) for name, values in named}
            speed = size * len(results[0]) / seconds
            found = {"step": self.log["step"], "seconds": round(time.time() - begin, 2)}
            self.log["chunks"].append({**found, "images_per_second": speed, **means})
            if not means["is_finite"]:
                self.log["stopped"] = "no step of a chunk was finite"
                break
            if time.time() - last > self.about["every_seconds"]:
                last = time.time()
                self.score(few=True)
                self.publish()
        self.log["training_seconds"] = round(time.time() - begin, 2)

    def score(self, *, few=False):
        """Notes the test images' bits/dim, by averaged weights where there are any."""
        count, size = self.about["images"]["test"], self._evaluation.batch
        scores = []
        for number, start in enumerate(range(0, count, size)):
            index = np.arange(start, start + size).clip(max=count - 1)[None]
            seeds = np.array([[self._seed, -1 - number]], np.int32)
            found = self._evaluate(
                self._state, self._images["test"], index.astype(np.int32), seeds
            )
            scores.append(np.asarray(found[0], np.float64).reshape(-1))
            if few and number == 1:
                break
        scores = np.concatenate(scores)[:count]
        found = {
            "step": self.log["step"],
            "seconds": round(time.time() - STARTED, 2),
            "images": len(scores),
            "test_bits_per_dim": float(scores.mean()),
        }
        self.log["evaluations"].append(found)
        print(json.dumps(found), flush=True)

    def publish(self):
        """Writes report and weights; the folder before last is removed."""
        self._published += 1
        out = FOLDER / f"out-{self._published}"
        out.mkdir(exist_ok=True)
        names = self.about["names"]
        of = names["average"] or names["weights"]
        state = jax.device_get([self._state[name] for name in of])
        weights = {
            name: value.astype(ml_dtypes.bfloat16) if value.size > _SMALL else value
            for name, value in zip(names["weights"], state, strict=True)
        }
        names = ("step", "batch_size", "start")
        kept = {name: self.log[name] for name in names if name in self.log}
        write_parts(weights, str(out / "weights"), _PART_BYTES, extra=kept)
        peer = FOLDER / "peer.jsonl"
        ways = peer.read_text().splitlines() if peer.exists() else []
        report = make_report(self.log, self.about, [json.loads(way) for way in ways])
        text = json.dumps(report, indent=2) + "\n"
        (out / "report.json").write_text(text, encoding="utf-8")
        (FOLDER / ".latest").write_text(out.name)
        os.replace(FOLDER / ".latest", FOLDER / "latest")
        # A call may just be copying the last.
        shutil.rmtree(FOLDER / f"out-{self._published - 2}", ignore_errors=True)

    def compare_with_convolutions(self):
        """Notes the rate of bare convolutions of the flow's shapes."""
        dtype = "bfloat16" if "bfloat16" in self.about["network_dtype"] else "float32"
        size, filters = self.log["batch_size"], self.about["sizes"]["filters"]
        with self._timed("bare convolutions"):
            rate = measure_convolutions(size, filters, dtype)
        self.log["operations_per_second_of_bare_convolutions"] = rate

    @contextlib.contextmanager
    def peer(self):
        """Lets the PyTorch flow compile beside us, and times it afterwards."""
        if not self.about["peer"]:
            yield
            return
        sizes = {**self.about["sizes"], "batch_size": self.log["batch_size"]}
        options = [f"--{n.replace('_', '-')}={v}" for n, v in sizes.items()]
        processes = {}
        # What compiles too long leaves the other.
        for begin, option in (("eager", []), ("compiled", ["--compiled"])):
            command = ["nice", sys.executable, "-u", FOLDER / "peer.py", *options]
            command += ["--begin", FOLDER / begin, *option]
            processes[begin] = subprocess.Popen([str(word) for word in command])
        try:
            yield
            with self._timed("PyTorch flow"):
                end = time.time() + self.log["peer_seconds"]
                for begin, process in processes.items():
                    (FOLDER / begin).touch()
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        process.wait(timeout=max(0, end - time.time()))
        finally:
            for process in processes.values():
                process.kill()


def main():
    jax.config.update("jax_compilation_cache_dir", str(FOLDER / "cache"))
    trainer = Trainer()
    end = trainer.wait_for_images()
    trainer.choose_batch_size()
    with trainer.peer():
        trainer.train(end)
        trainer.publish()
        trainer.score()
        trainer.publish()
        trainer.compare_with_convolutions()
    trainer.publish()
    (FOLDER / "finished").touch()


if __name__ == "__main__":
    main()
