"""Runs the long form of a suite and writes what it found to `docs/soak/NAME.md`.

python -m tests.soak NAME [--seed N] [--count N] [--seconds N] [pytest arguments]
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import subprocess
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]

EARLIER = "## Earlier runs"


@dataclass(eq=False)
class Notes:
    """A pytest plugin that keeps outcomes and figures."""

    tests: list[tuple[str, str, float]] = field(default_factory=list)
    figures: list[str] = field(default_factory=list)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note a finished test, and what went wrong outside of it."""
        if report.when == "call" or report.outcome != "passed":
            self.tests.append((report.nodeid, report.outcome, report.duration))
        if report.when == "call":
            self.figures += [str(text) for name, text in report.user_properties if name == "figure"]


def main() -> int:
    """Run; return pytest's exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak")
    parser.add_argument("name", help="suite: kill, power-loss, gigabyte, load, flips…")
    parser.add_argument("--seed", type=int, default=None, help="of every choice by chance")
    parser.add_argument("--count", type=int, default=None, help="repetitions; the suite's own when absent")
    parser.add_argument(
        "--seconds", type=int, default=None, help="for suites that go on where they ended: no more after"
    )
    arguments, rest = parser.parse_known_args()
    seed = random.SystemRandom().randrange(10**6) if arguments.seed is None else arguments.seed
    os.environ["SOAK_SEED"] = str(seed)
    if arguments.count is not None:
        os.environ["SOAK_COUNT"] = str(arguments.count)
    if arguments.seconds is not None:
        os.environ["SOAK_SECONDS"] = str(arguments.seconds)
    notes, begun = Notes(), datetime.now(UTC)
    code = pytest.main(
        ["-m", "soak", "--soak", arguments.name, f"--rootdir={REPOSITORY}", str(REPOSITORY / "tests"), *rest],
        plugins=[notes],
    )
    if notes.tests:
        target = REPOSITORY / "docs" / "soak" / f"{arguments.name}.md"
        target.parent.mkdir(parents=True, exist_ok=True)
        before = target.read_text(encoding="utf-8") if target.is_file() else ""
        target.write_text(written(arguments.name, seed, begun, notes, before), encoding="utf-8")
    return int(code)


def written(name: str, seed: int, begun: datetime, notes: Notes, before: str = "") -> str:
    """Return the log as text; of the log before it, what it found stays."""
    ended = datetime.now(UTC)
    commit = subprocess.run(
        ["git", "rev-parse", "--short=12", "HEAD"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    how = (
        f"`python -m tests.soak {name} --seed {seed}` at commit {commit or 'unknown'}, {begun:%Y-%m-%d %H:%M} UTC, "
        f"{(ended - begun).total_seconds():.0f} s, Python {platform.python_version()}, {os.cpu_count()} cores."
    )
    lines = [
        f"# Soak: {name}",
        "",
        how,
        "",
        "| test | outcome | seconds |",
        "|---|---|---|",
        *(f"| `{test}` | {outcome} | {seconds:.1f} |" for test, outcome, seconds in notes.tests),
        "",
        *(f"- {text.strip()}" for text in notes.figures),
        *earlier(before),
    ]
    return "\n".join(lines).rstrip() + "\n"


def earlier(before: str) -> list[str]:
    """Return the runs that a log tells of, the newest first, as a section of the next one."""
    lines = [line.rstrip() for line in before.splitlines()]
    how = next((line for line in lines if line.startswith("`python -m tests.soak")), None)
    if how is None:
        return []
    start = lines.index(EARLIER) if EARLIER in lines else len(lines)
    outcomes = dict.fromkeys(line.split("|")[2].strip() for line in lines[:start] if line.startswith("| `"))
    figures = [line.removeprefix("- ") for line in lines[:start] if line.startswith("- ")]
    run = f"- {how} {', '.join(outcomes)}: {'; '.join(figures)}"
    return ["", EARLIER, "", run, *(line for line in lines[start + 1 :] if line)]


if __name__ == "__main__":
    sys.exit(main())
