"""Plan B: the product itself on the GPU machine, beside the same on its CPU.

    python3 benchmarks/gpu/machine/native.py --images images.webp --output "$OUT"

needs TensorFlow and this package, installed. Each item is a process, and has a limit,
so that one which fails, hangs or takes TensorFlow down leaves the others. What they
find is a line each of native.jsonl, as soon as it is known.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np

# One group after another, each with its share of the time; what is timed is alone.
GROUPS = (
    (0.35, ("equal float32", "equal mixed_bfloat16")),
    (0.37, ("fit mixed_bfloat16",)),
    (0.28, ("fit float32",)),
)
STEPS, BATCH_SIZE = 20, 64
RECIPE = {"learning_rate": 4e-3, "warmup_steps": 0, "schedule": "constant"}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--images", type=pathlib.Path, required=True, help="sheet of training images")
    add("--output", type=pathlib.Path, required=True)
    add("--seconds", type=float, default=520, help="for all of it")
    add("--device", default="GPU:0", help="CPU:0 to try all of it")
    add("--filters", type=int, default=64)
    add("--num-blocks", type=int, nargs=2, default=[2, 8], help="compared, and timed")
    add("--batch-sizes", type=int, nargs="+", default=[128, 256], help="timed")
    add("--item", help="of GROUPS: this alone, in this process")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    if arguments.item:
        kind, dtype = arguments.item.split()
        Item(arguments, dtype).run(kind)
        return
    limit = time.monotonic()
    for share, items in GROUPS:
        # What one group leaves is the next one's.
        limit += share * arguments.seconds
        command = [sys.executable, "-u", *sys.argv, "--item"]
        processes = {item: subprocess.Popen([*command, item]) for item in items}
        for item, process in processes.items():
            try:
                status = process.wait(timeout=max(0, limit - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                status = "its time was over"
            write(arguments.output, item=item, status=status)


def write(output, **found):
    """Adds a line to what was found, and shows it."""
    with open(output / "native.jsonl", "a", encoding="utf-8") as file:
        print(json.dumps(found), file=file)
    print(json.dumps(found), flush=True)


class Item:
    """What is found with networks of one precision."""

    def __init__(self, arguments, dtype):
        import tensorflow as tf

        self.arguments, self.dtype = arguments, dtype
        for gpu in tf.config.list_physical_devices("GPU"):
            tf.config.experimental.set_memory_growth(gpu, True)
        from sheets import read_sheets

        self.images = read_sheets([arguments.images])
        self._start = None

    def run(self, kind):
        """Runs all that is compared, or all that is timed."""
        import tensorflow as tf

        device = tf.config.list_logical_devices(self.arguments.device.split(":")[0])
        self._note(device=str(device), tensorflow=tf.__version__)
        if kind == "fit":
            first, *others = self.arguments.batch_sizes
            for given in ({}, {"jit_compile": True}, {"memory": "recompute"}):
                self._try(self.time_fit, batch_size=first, **given)
            for batch_size in others:
                self._try(self.time_fit, batch_size=batch_size)
            return
        # Else float32 products on the GPU have the 10 bits of TF32.
        tf.config.experimental.enable_tensor_float_32_execution(False)
        losses, model = self._fit("CPU:0")
        weights = model.get_weights()
        self._try(self.compare_losses, losses=losses)
        self._try(self.compare_values, weights=weights)
        for given in ({"jit_compile": True}, {"memory": "recompute"}):
            self._try(self.compare_losses, losses=losses, **given)

    def _note(self, **found):
        write(self.arguments.output, network_dtype=self.dtype, **found)

    def _try(self, function, **given):
        about = {n: v for n, v in given.items() if n not in ("losses", "weights")}
        begin = time.monotonic()
        try:
            found = function(**given)
        except Exception as error:
            # What fails on a GPU is what is looked for.
            found = {"error": f"{type(error).__name__}: {error}"[:2000]}
        seconds = round(time.monotonic() - begin, 1)
        self._note(what=function.__name__, **about, **found, seconds=seconds)

    def _model(self, device, num_blocks, **given):
        import tensorflow as tf

        import tfp_realnvp as nvp
        from tfp_realnvp.runs import RunConfig

        flow = {**nvp.PRESETS["cifar10-plus"], "num_blocks": num_blocks}
        flow.update(filters=self.arguments.filters, network_dtype=self.dtype)
        if "memory" in given:
            flow["memory"] = given.pop("memory")
        recipe = {"batch_size": BATCH_SIZE, **RECIPE, **given}
        config = RunConfig(dataset="cifar10", flow=flow, epochs=1, seed=0, **recipe)
        return config.build_model(tf.distribute.MirroredStrategy([device]))

    def _fit(self, device, **given):
        """Returns the losses of some steps on real-valued pixels, and the model.

        XLA draws other noise than TensorFlow's kernels, so that there is none.
        """
        import tensorflow as tf

        model = self._model(device, self.arguments.num_blocks[0], **given)
        # Devices may round initial weights differently.
        self._start = self._start or model.get_weights()
        model.set_weights(self._start)
        noise = np.random.default_rng(0).uniform(size=(STEPS * BATCH_SIZE, 32, 32, 3))
        pixels = np.resize(self.images, noise.shape) + noise.astype(np.float32)
        batches = tf.data.Dataset.from_tensor_slices(pixels).batch(BATCH_SIZE)
        # What is logged is the mean of an epoch.
        history = model.fit(
            batches.repeat(), steps_per_epoch=1, epochs=STEPS, verbose=0
        )
        return np.array(history.history["loss"]), model

    def compare_losses(self, losses, **given):
        """Returns how losses of the same steps differ from the CPU's."""
        found, _ = self._fit(self.arguments.device, **given)
        differences = np.abs(found / losses - 1)
        return {
            "first_relative_difference": differences[0],
            "largest_relative_difference": differences.max(),
            "losses_on_cpu": losses[[0, -1]].tolist(),
            "losses": found[[0, -1]].tolist(),
        }

    def compare_values(self, weights):
        """Returns how log_prob, samples and the SavedModel differ from the CPU's."""
        import tensorflow as tf

        import tfp_realnvp as nvp

        x = self.images[:16].astype(np.float32) + 0.5
        latents = np.random.default_rng(1).standard_normal(x.shape, np.float32)
        values = []
        with tempfile.TemporaryDirectory() as folder:
            for device in ("CPU:0", self.arguments.device):
                model = self._model(device, self.arguments.num_blocks[0])
                model.set_weights(weights)
                flow = model.flow
                with tf.device(device):
                    found = {
                        "log_prob": flow.log_prob(x),
                        "log_prob by XLA": tf.function(
                            flow.log_prob, autograph=False, jit_compile=True
                        )(x),
                        "sample": flow.bijector.forward(latents),
                    }
                    path = nvp.export_saved_model(flow, f"{folder}/{len(values)}")
                    served = tf.saved_model.load(str(path)).signatures
                    scored = served["serving_default"](x=tf.constant(x))
                    found["log_prob of the SavedModel"] = scored["log_prob"]
                values.append({n: np.asarray(v) for n, v in found.items()})
        here, there = values
        differences = {
            name: float(np.abs(there[name] - value).max() / np.abs(value).max())
            for name, value in here.items()
        }
        return {"largest_difference_by_largest_value": differences}

    def time_fit(self, batch_size, **given):
        """Returns the images a second of `fit`, noise and checks included."""
        device, num_blocks = self.arguments.device, self.arguments.num_blocks[1]
        model = self._model(device, num_blocks, batch_size=batch_size, **given)
        speeds, images = [], self.images[: 10 * batch_size]
        for _ in range(4):
            begin = time.monotonic()
            model.fit(images, batch_size=batch_size, verbose=0)
            speeds.append(len(images) / (time.monotonic() - begin))
        return {"images_per_second": float(np.median(speeds[1:]))}


if __name__ == "__main__":
    main()
