"""A witness' life in one process, to be watched from outside; each answer is a line on standard output.

python -m tests.e2e.harness.witness_workload FOLDER VKEYS REQUESTS

The answers are written to standard output where the real one writes them to a connection: once they are there,
they have left.
"""

from __future__ import annotations

import base64
import json
import os
import sys
from pathlib import Path

from tests.e2e.harness.replay import MARK
from vault.cli.witness import kept_name
from vault.clock import SystemClock
from vault.ledger.policy import Policy
from vault.ledger.witness import Witness
from vault.ledger.witness_keys import WitnessKeys

NAME = "court.example/witness"


def answer(kind: str, **members: object) -> None:
    """Say that something was answered: one write, so that it stands in the trace as one line."""
    os.write(1, MARK + json.dumps({"kind": kind, **members}).encode() + b"\n")


def opened(folder: Path, vkeys: str) -> Witness:
    """Open the witness of a folder as the command does."""
    name = kept_name(folder / "keys", NAME)
    keys = WitnessKeys.open(folder / "keys", name)
    return Witness(folder / "memory/witness.db", keys, Policy.from_vkeys(vkeys), SystemClock())


def main() -> None:
    """Answer every request of a file, one base64 line each; an empty line is a restart."""
    folder, vkeys = Path(sys.argv[1]), Path(sys.argv[2]).read_text()
    witness = opened(folder, vkeys)
    answer("started", vkeys=witness.keys.vkeys)
    for line in Path(sys.argv[3]).read_text().splitlines():
        if line:
            found = witness.add_checkpoint(base64.b64decode(line))
            answer("answered", status=found.status, body=found.body.decode())
        else:
            witness.close()
            witness = opened(folder, vkeys)
    witness.close()


if __name__ == "__main__":
    main()
