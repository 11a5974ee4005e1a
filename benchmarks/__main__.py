"""python -m benchmarks NAME [--json] [--size N] [--seconds S]: prints each figure with its baselines."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator

from benchmarks import audits, http_cost, ledger, path, seal, stack, verdicts
from benchmarks.figures import Figure

SUITES: dict[str, Callable[[int, float, int], Iterator[Figure]]] = {
    "http": lambda _size, seconds, runs: http_cost.run(seconds, runs),
    "ledger": ledger.run,
    "ledger-writers": ledger.writers,
    "ledger-audits": lambda size, _seconds, runs: audits.run(size, runs),
    "path": lambda _size, seconds, runs: path.run(seconds, runs),
    # A fiftieth: 2,000 pages by default.
    "seal": lambda size, seconds, runs: seal.run(size // 50, seconds, runs),
    "stack": lambda _size, seconds, runs: stack.run(seconds, runs),
    # A tenth as many pages as a log has entries.
    "verdicts": lambda size, seconds, runs: verdicts.run(size // 10, seconds, runs),
}


def main() -> int:
    """Run a suite; with --json print one object per figure, a line each."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("name", choices=SUITES)
    parser.add_argument("--json", action="store_true", help="one JSON object per figure")
    parser.add_argument("--size", type=int, default=100_000, help="entries of the log that is read")
    parser.add_argument("--seconds", type=float, default=1.0, help="length of each measurement")
    parser.add_argument("--runs", type=int, default=5, help="how often each is repeated, interleaved")
    arguments = parser.parse_args()
    for figure in SUITES[arguments.name](arguments.size, arguments.seconds, arguments.runs):
        print(json.dumps(figure.summary()) if arguments.json else _line(figure))
        sys.stdout.flush()
    return 0


def _line(figure: Figure) -> str:
    summary = figure.summary()
    beside = ", ".join(f"{name} {value:,.4g}" for name, value in summary["baseline"].items())
    value = f"{summary['value']:,.4g} {figure.unit} (median of {len(figure.runs)})"
    goal = f"; goal {figure.goal}" if figure.goal else ""
    return f"{figure.name}: {value}{goal}; {beside or 'no baseline'}"


if __name__ == "__main__":
    sys.exit(main())
