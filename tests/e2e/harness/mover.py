"""`probans migrate` with a trap in it.

python -m tests.e2e.harness.mover POINT PASSAGE [arguments of migrate]
"""

from __future__ import annotations

import sys

from tests.e2e.harness.trap import Trap
from vault.cli.main import build
from vault.core import faults


def main() -> None:
    """Move until the trap kills."""
    trap = Trap()
    trap.arm(sys.argv[1], int(sys.argv[2]))
    faults.install(trap.passed)
    build(["migrate"])(["migrate", *sys.argv[3:]])


if __name__ == "__main__":
    main()
