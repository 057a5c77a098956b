"""Gives every public entry bad inputs by the thousand, and counts what comes of them.

    python benchmarks/bad_inputs.py --count 10000 --seed 1

The entries, the inputs and the oracle are those of `tests/robustness`. Prints for each
entry how many inputs were answered and how many were refused, by type of error, and
each kind of fault with an input that shows it. Exit status 1 if there was one.
"""

import argparse
import collections
import pathlib
import sys
import time

import hypothesis
from hypothesis import strategies as st

TESTS = pathlib.Path(__file__).parents[1] / "tests"
sys.path[:0] = [str(TESTS / "robustness"), str(TESTS)]

import bad_values  # noqa: E402
import clear_errors  # noqa: E402
import test_bad_inputs  # noqa: E402

# Those that take seconds when they are right get this share of the others' inputs.
SLOW_SHARE = 0.2


def main() -> int:
    """Runs all entries and returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=10_000, help="inputs in all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", help="entries whose name contains this")
    arguments = parser.parse_args()
    entries = {
        name: entry
        for name, entry in test_bad_inputs.ENTRIES.items()
        if arguments.only is None or arguments.only in name
    }
    shares = {
        name: SLOW_SHARE if name in test_bad_inputs.FEWER else 1.0 for name in entries
    }
    # Hypothesis repeats no input, and runs out of those for entries of few arguments.
    total, faults, begin = collections.Counter(), [], time.perf_counter()
    for i, (name, entry) in enumerate(entries.items(), start=1):
        share = shares.pop(name)
        left = arguments.count - sum(total.values())
        count = max(1, round(left * share / (share + sum(shares.values()))))
        kinds, found, seconds = run(entry, count, arguments.seed)
        total += kinds
        faults += [(name, *fault) for fault in found]
        counted = ", ".join(f"{kind} {n}" for kind, n in sorted(kinds.items()))
        print(
            f"{i}/{len(entries)} {name}: {kinds.total()} inputs in {seconds:.0f} s: "
            f"{counted}; faults: {len(found)}.",
            flush=True,
        )
        for fault, shown in found:
            print(f"  FAULT {fault}\n    of {shown}", flush=True)
    minutes = (time.perf_counter() - begin) / 60
    counted = ", ".join(f"{kind} {n}" for kind, n in total.most_common())
    print(
        f"{total.total()} inputs to {len(entries)} entries, seed {arguments.seed}, in "
        f"{minutes:.1f} min: {counted}. Kinds of faults: {len(faults)}."
    )
    return 1 if faults else 0


def run(
    entry: clear_errors.Entry, count: int, seed: int
) -> tuple[collections.Counter, list[tuple[str, str]], float]:
    """Returns how often what came of `count` inputs, the faults, and the seconds."""
    kinds, faults, begin = collections.Counter(), {}, time.perf_counter()

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=count,
        database=None,
        deadline=None,
        suppress_health_check=list(hypothesis.HealthCheck),
        phases=[hypothesis.Phase.generate],
    )
    @hypothesis.given(st.data())
    def given(data):
        inputs = data.draw(clear_errors.inputs(entry, bad_values.junk))
        outcome = test_bad_inputs.judge(entry, inputs)
        kinds[outcome.kind] += 1
        if outcome.fault is not None:
            faults.setdefault(outcome.fault[:80], (outcome.fault, shown(inputs)))

    given()
    return kinds, list(faults.values()), time.perf_counter() - begin


def shown(inputs: dict) -> str:
    """Returns inputs in a line."""
    from tfp_realnvp.arguments import shortened

    return ", ".join(f"{name}={shortened(value)}" for name, value in inputs.items())


if __name__ == "__main__":
    sys.exit(main())
