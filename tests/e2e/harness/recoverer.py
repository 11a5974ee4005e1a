"""`probans recover` with a trap in it.

python -m tests.e2e.harness.recoverer DATA POINT PASSAGE
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.e2e.harness.trap import Trap
from vault.cli.recover import recover
from vault.core import faults


def main() -> None:
    """Recover until the trap kills."""
    trap = Trap()
    trap.arm(sys.argv[2], int(sys.argv[3]))
    faults.install(trap.passed)
    recover(Path(sys.argv[1]))


if __name__ == "__main__":
    main()
