"""A batch in a process with a trap in it: started by tests, never by people.

    python -m tests.e2e.harness.batcher DATA MANIFEST FOLDER [POINT PASSAGE]

It begins the batch, issues what is left of the folder, and finishes it: the same again after a kill.
"""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path

from tests.e2e.harness.trap import Trap
from vault.bootstrap import open_vault
from vault.cli.batch_shards import members_of
from vault.core import faults
from vault.domain.batches import ENDED, BatchState
from vault.domain.transfer import Transfer
from vault.settings import Settings


def main() -> None:
    """Do it."""
    data, manifest, folder = map(Path, sys.argv[1:4])
    if len(sys.argv) > 4:
        trap = Trap()
        trap.arm(sys.argv[4], int(sys.argv[5]))
        faults.install(trap.passed)
    vault = open_vault(Settings(data=data, publish_interval=0.05), background=False)
    try:
        actor = vault.personas.named("agent-paie").actor
        octets = iter((manifest.read_bytes(),))
        batch = vault.batches.begin(actor, "employeur-specimen", "csv", octets, Transfer("batch-1"))
        if batch.state not in ENDED:
            with ExitStack() as held:
                vault.batches.feed_members(actor, batch.id, members_of([folder], held))
            vault.batches.move(actor, batch.id, BatchState.FINISHED)
        print(batch.id)
    finally:
        vault.close()


if __name__ == "__main__":
    main()
