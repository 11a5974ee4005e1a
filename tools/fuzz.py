"""Fuzzes the parsers with coverage as guide (atheris, installed by `tools/install.sh atheris`).

python tools/fuzz.py TARGET [--seconds N]        one target of tests/fuzz/targets.py
python tools/fuzz.py all [--seconds N]           each in turn, N seconds each

What was found new is kept in .cache/fuzz/TARGET and goes on from there the next time; an input that breaks a target
is written to tests/fuzz/saved/TARGET, where the tests replay it.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ATHERIS = ROOT / ".cache" / "judges" / "atheris"
LONGEST = 60_000  # octets of an input
PATIENCE = 20  # seconds that one input may take
MEMORY = 2_000  # MiB


def main() -> int:
    """Run; the exit code is 0 when nothing was found."""
    sys.path[:0] = [str(ROOT), str(ATHERIS)]
    parser = argparse.ArgumentParser(prog="tools/fuzz.py")
    parser.add_argument("target", help="name of a target, or all")
    parser.add_argument("--seconds", type=int, default=300)
    arguments = parser.parse_args()
    if not ATHERIS.is_dir():
        print("no atheris: tools/install.sh atheris", file=sys.stderr)
        return 2
    if arguments.target == "all":
        return _all(arguments.seconds)
    _one(arguments.target, arguments.seconds)
    return 0


def _all(seconds: int) -> int:
    from tests.fuzz.targets import TARGETS

    worst = 0
    for name in TARGETS:
        print(f"== {name}", flush=True)
        command = [sys.executable, str(Path(__file__)), name, "--seconds", str(seconds)]
        worst = max(worst, abs(subprocess.run(command, check=False).returncode))
    return worst


def _one(name: str, seconds: int) -> None:
    import atheris

    # What is imported here is watched, so that the search sees which branches an input takes.
    with atheris.instrument_imports(include=["signing", "timestamping", "vault", "asn1crypto"]):
        from tests.fuzz import targets

    known = ROOT / ".cache" / "fuzz" / name
    saved = ROOT / "tests" / "fuzz" / "saved" / name
    for folder in (known, saved):
        folder.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(targets.corpus(name)):
        (known / f"seed-{number}").write_bytes(data[:LONGEST])
    options = [
        f"-max_total_time={seconds}",
        f"-max_len={LONGEST}",
        f"-timeout={PATIENCE}",
        f"-rss_limit_mb={MEMORY}",
        f"-artifact_prefix={saved}/",
        "-print_final_stats=1",
    ]
    atheris.Setup([sys.argv[0], str(known), *options], lambda data: targets.run(name, data))
    atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main())
