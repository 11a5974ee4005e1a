"""`probans witness` with a trap in it.

python -m tests.e2e.harness.witness_launcher DB KEYS PORT VKEYS NAME POINT PASSAGE
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.e2e.harness.trap import Trap
from vault.cli.witness import witness
from vault.core import faults


def main() -> None:
    """Serve until stopped, or until the trap kills."""
    db, keys, port, vkeys, name, point, passage = sys.argv[1:]
    trap = Trap()
    trap.arm(point, int(passage))
    faults.install(trap.passed)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    witness(Path(db), Path(keys), [vkeys], int(port), "127.0.0.1", name)


if __name__ == "__main__":
    main()
