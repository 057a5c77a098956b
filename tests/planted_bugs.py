"""Plants 40 bugs in copies of this tree, one at a time: does the quick tier see them?

    python tests/planted_bugs.py                 # the tests that should see each
    python tests/planted_bugs.py --only momentum # bugs whose names contain it
    python tests/planted_bugs.py --check         # only whether each can be planted

A bug has a name, the folder of tests to run and which of them first (`pytest -k`), a
snippet that the package has exactly once, whatever its white space, and what takes its
place. Exit status 1 if a bug was not seen.

Last result (28 November 2026, commit e9a8f6a): 40 of 40 seen.
"""

import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
from typing import NamedTuple

ROOT = pathlib.Path(__file__).resolve().parents[1]
PACKAGE = "tfp_realnvp"
# A bug can make a test wait for ever.
SECONDS = 1200
TABLE = r"""
momentum swapped (nets: moment or norm)
- self.momentum * average.value + (1 - self.momentum) * value
+ (1 - self.momentum) * average.value + self.momentum * value
variance of a batch not biased (nets: norm)
- (count - 1) / count
+ count / (count - 1)
both halves of CReLU alike (nets: relu or features)
- tf.nn.relu(-hidden)
+ tf.nn.relu(hidden)
kernel norm over too few axes (nets: kernel or weight_norm or magnitude)
- tf.reduce_sum(tf.square(kernel), axis=[0, 1, 2])
+ tf.reduce_sum(tf.square(kernel), axis=[0, 1])
condition of a ResNet dropped (bijectors: condition)
- hidden += self.project(condition)[:, tf.newaxis, tf.newaxis, :]
+ hidden += 0 * self.project(condition)[:, tf.newaxis, tf.newaxis, :]
every network has the flow's seed (nets: seed)
- [int(s) for s in np.random.SeedSequence(seed).generate_state(count)]
+ [seed] * count
sign of the inverse log-determinant (bijectors: affine)
- (value - shift) * tf.exp(-log_scale), -log_scale
+ (value - shift) * tf.exp(-log_scale), log_scale
diagonal mask in another order than squeeze (bijectors: mask)
- np.repeat([True, False, False, True], channels // 4)
+ np.tile([True, False, False, True], channels // 4)
log-determinant of a channel, not of its entries (bijectors: batch_norm and not graph)
- tf.cast(repeats, value.dtype) * tf.reduce_sum(log_scale)
+ tf.reduce_sum(log_scale)
slope of the pixels left out (bijectors: pixel_logit and not graph)
- math.log(self._slope) + tf.nn.softplus(x)
+ tf.nn.softplus(x)
log-determinant of one pixel's convolution (bijectors: conv and not graph)
- num_pixels * tf.cast(
+ 0 * num_pixels + tf.cast(
channels merged by the order, not its inverse (bijectors: split or comb)
- np.argsort(np.concatenate([self.kept, self.changed]))
+ np.concatenate([self.kept, self.changed])
running averages in training (bijectors: batch_norm and not graph)
- training = training and inverse
+ training = False
masks not alternated (flows: mask or depends or real_nvp)
- functools.partial(mask, invert=bool(i % 2))
+ functools.partial(mask, invert=False)
nats instead of bits (flows: bits)
- (dimensions * math.log(2))
+ dimensions
scales merged the wrong way around (flows: merge or latent or scale)
- Squeeze().inverse(factor_out.merge(x, z))
+ Squeeze().inverse(factor_out.merge(z, x))
scores by scale without the pixels' log-determinant (evaluation: scale)
- [to_logits + first, *others]
+ [first, *others]
the live flow frozen, not a copy (flows: freeze or frozen or live)
- copied = copy.deepcopy(layer)
+ copied = layer
dequantization noise of a 256th (robustness: noise)
- tf.random.stateless_uniform(shape, seed, dtype=images.dtype)
+ tf.random.stateless_uniform(shape, seed, maxval=1 / 256, dtype=images.dtype)
mean instead of sum over replicas (training: replica)
- replica.all_reduce(tf.distribute.ReduceOp.SUM, value)
+ replica.all_reduce(tf.distribute.ReduceOp.MEAN, value)
sample weights ignored (training: weight)
- tf.reduce_sum(tf.math.multiply_no_nan(values, weights))
+ tf.reduce_sum(values)
average of weights never warms up (training: average)
- tf.minimum(self._decay, (count - 1) / (count + 8))
+ self._decay
each batch of an evaluation has the same noise (robustness: noise)
- start + tf.stack([0, tf.cast(batch_number(), start.dtype)])
+ start + tf.zeros_like(start)
penalties left out of the loss (training: loss or penal)
- likelihood + sum(layer.losses) / num_replicas()
+ likelihood
EXIF not applied (data: turn or exif)
- ImageOps.exif_transpose(
+ (
names of attributes off by a column (data: label or column)
- for column in header[1:]
+ for column in header[:-1]
validation images left among the training images (data: take or split)
- np.delete(np.arange(self.count), taken)
+ np.arange(self.count)
the same order in every epoch (data: epoch or order)
- _random_bits([3], _FOR_ORDERS, seed, epoch)
+ _random_bits([3], _FOR_ORDERS, seed, 0 * epoch)
crop of a corner instead of the middle (data: crop or middle or scaled)
- left, top = (
+ left, top, *_ = 0, 0, (
temperature ignored (figures: temperature or sample)
- temperature * latents.numpy()
+ latents.numpy()
conditions interpolated backwards (figures: interpol)
- (1 - t) * of_first + t * of_second
+ t * of_first + (1 - t) * of_second
drift of log-determinants with the wrong sign (health: drift or healthy or round)
- forward_log_det + inverse_log_det
+ forward_log_det - inverse_log_det
resumed with the first images again (runs: cut_off or resum or goes_on)
- first_step=step )
+ first_step=0)
a run's lock shared by two (runs: lock or another_process)
- fcntl.LOCK_EX | fcntl.LOCK_NB
+ fcntl.LOCK_SH | fcntl.LOCK_NB
averaged weights not used for their score (runs: average)
- with self.model.averaged_weights(): result = 
+ if True: result = 
one-sided typicality (evaluation: typical)
- 2 * (1 + np.minimum(below, above))
+ 1 * (1 + np.minimum(below, above))
importance samples grouped the wrong way around (evaluation: importance or bound)
- -1, importance_samples]
+ importance_samples, -1]
served score of several draws not averaged (serving: draws or score_images)
- total - tf.math.log(tf.cast(num_draws, total.dtype))
+ total
too high called too low (gallery: scores)
- side = "high" if bits > np.median(scores.reference)
+ side = "high" if bits < np.median(scores.reference)
importance samples without as many draws (cli: bound or scored)
- arguments.draws or arguments.importance_samples or DRAWS
+ arguments.draws or DRAWS
"""


class Bug(NamedTuple):
    name: str
    folder: str
    words: str
    old: str
    new: str


ENTRY = re.compile(r"^(.*) \((\w+): (.*)\)\n- (.*)\n\+ (.*)$", re.MULTILINE)
BUGS = [Bug(*entry) for entry in ENTRY.findall(TABLE)]


def places(bug: Bug, root: pathlib.Path) -> list[tuple[pathlib.Path, str, re.Match]]:
    """Returns files that have the snippet, their text, and the place in it."""
    pattern = r"\s*".join(map(re.escape, bug.old.split()))
    texts = {p: p.read_text("utf-8") for p in (root / PACKAGE).rglob("*.py")}
    return [(p, t, m) for p, t in texts.items() for m in re.finditer(pattern, t)]


def failure(root: pathlib.Path, *arguments: str) -> str | None:
    """Returns the first test that fails, or what else went wrong, or None."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-m", "not slow"]
    command += ["-p", "no:cacheprovider", *arguments]
    options = {"capture_output": True, "text": True, "timeout": SECONDS, "cwd": root}
    environment = {**os.environ, "PYTHONPATH": str(root)}
    try:
        ended = subprocess.run(command, env=environment, **options)
    except subprocess.TimeoutExpired:
        return f"more than {SECONDS} s"
    # 5 is that words select no test.
    if ended.returncode in (0, 5):
        return None
    told = re.search(r"^(?:FAILED|ERROR) (\S+)", ended.stdout, re.MULTILINE)
    return told[1] if told else ended.stdout[-300:] + ended.stderr[-300:]


def seen(bug: Bug, root: pathlib.Path) -> str | None:
    """Returns what sees the bug, planted in a copy of the tree."""
    [(path, text, match)] = places(bug, root)
    path.write_text(text[: match.start()] + bug.new + text[match.end() :], "utf-8")
    folder = f"tests/{bug.folder}"
    try:
        return failure(root, folder, "-k", bug.words) or failure(root, folder)
    finally:
        path.write_text(text, "utf-8")


def main() -> int:
    """Runs the bugs asked for and returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="bugs whose name contains this")
    parser.add_argument("--check", action="store_true", help="plant nothing")
    arguments = parser.parse_args()
    counts = {bug: len(places(bug, ROOT)) for bug in BUGS}
    for bug, count in counts.items():
        if count != 1:
            print(f"{bug.name}: expected one place of {bug.old!r}, got {count}.")
    lost = sum(count != 1 for count in counts.values())
    if arguments.check or lost:
        print(f"{len(BUGS) - lost} of {len(BUGS)} bugs can be planted.")
        return int(lost > 0)
    chosen = [bug for bug in BUGS if arguments.only in bug.name]
    missed = 0
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder) / "tree"
        ignored = shutil.ignore_patterns(".git", "__pycache__", ".*_cache", "runs.*")
        shutil.copytree(ROOT, root, ignore=ignored, symlinks=True)
        for bug in chosen:
            by = seen(bug, root)
            missed += by is None
            told = "NOT SEEN" if by is None else f"seen by {by}"
            print(f"{bug.name}: {told}", flush=True)
    print(f"{len(chosen) - missed} of {len(chosen)} bugs were seen.")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
