"""The service as `probans serve` runs it: `python -m benchmarks.http_server FOLDER ALGORITHM WHAT`.

With `issue` as WHAT it is the service and nothing else. With `nothing`, what issues acts is replaced in this process
by something that reads the file and answers: so the route costs what HTTP, authentication and JSON cost.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import api.worker
from api.server import serve
from benchmarks.path_worker import ALGORITHMS
from vault.bootstrap import open_vault
from vault.domain.actors import Actor
from vault.domain.documents import NewDocument, Outcome
from vault.domain.transfer import Transfer
from vault.ids import new_id
from vault.issuing import Act
from vault.service import Vault
from vault.settings import Settings


class Nothing:
    """Stands where `vault.issuing.Issuing` does."""

    def issue(
        self,
        actor: Actor,
        administration_id: str,
        new: NewDocument,
        chunks: Iterable[bytes],
        transfer: Transfer,
    ) -> Outcome:
        """Read the file to its end, and answer as if it had been issued."""
        (outcome,) = self.issue_all(actor, administration_id, (Act(new, chunks, transfer),))
        return outcome

    def issue_all(self, _actor: Actor, _administration_id: str, acts: Sequence[Act]) -> list[Outcome]:
        """Do the same with several."""
        for act in acts:
            for _ in act.chunks:
                pass
        return [Outcome(new_id("doc"), 201, 1) for _ in acts]


def _open_idle(settings: Settings) -> Vault:
    vault = open_vault(settings)
    setattr(vault, "issuing", Nothing())  # noqa: B010 - of another class
    return vault


def main() -> None:
    """Serve until stopped."""
    folder, algorithm, what = sys.argv[1:]
    if what == "nothing":
        setattr(api.worker, "open_vault", _open_idle)  # noqa: B010 - what the worker imported
    serve(Settings(data=Path(folder), seal_algorithm=ALGORITHMS[algorithm]), port=0)


if __name__ == "__main__":
    main()
