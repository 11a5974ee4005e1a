"""A safe's life in one process, to be watched from outside; each answer is a line on standard output.

python -m tests.e2e.harness.workload FOLDER [READS]
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.e2e.harness.judge import send
from tests.e2e.harness.replay import MARK
from tests.e2e.harness.samples import AGENT, HOLDER, OPERATOR, PURPOSE, Sample
from vault.bootstrap import open_vault
from vault.domain.transfer import Transfer
from vault.service import Vault
from vault.settings import Settings

_NOBODY = "http://127.0.0.1:9/"


def answer(kind: str, **members: object) -> None:
    """Say that something was answered: one write, so that it stands in the trace as one line."""
    os.write(1, MARK + json.dumps({"kind": kind, **members}).encode() + b"\n")


def given(vault: Vault, sample: Sample) -> str:
    """Send a sample and say what was answered; return the document's identifier."""
    outcome = send(vault, sample)
    answer(
        "document",
        number=sample.number,
        is_act=sample.is_act,
        supersedes=sample.supersedes,
        id=outcome.document_id,
        seq=outcome.seq,
        status_code=outcome.status_code,
    )
    return outcome.document_id


def read(vault: Vault, document_id: str, purpose: str = PURPOSE) -> None:
    """Read a document's first octets; its access entry is durable then."""
    holder = vault.personas.named(HOLDER).actor
    download = vault.reading.original(holder, document_id, purpose)
    answer("read", id=document_id, purpose=purpose, size=download.size)


def receive(vault: Vault, document_id: str) -> None:
    """Ask for a receipt; what it rests on is published for good then."""
    holder = vault.personas.named(HOLDER).actor
    receipt = vault.reading.receipt(holder, document_id, PURPOSE, 5.0)
    answer("receipt", id=document_id, receipt=(receipt or b"").decode())


def first_life(settings: Settings) -> str:
    """First start, then a little of everything; return an act that is in force."""
    vault = open_vault(settings, background=False)
    answer("started", roots=vault.trust.roots_pem.decode(), vkeys=list(vault.trust.vkeys))
    agent, holder = vault.personas.named(AGENT).actor, vault.personas.named(HOLDER).actor
    first = given(vault, Sample(0, is_act=True))
    attachment = given(vault, Sample(1, is_act=False))
    receive(vault, first)
    read(vault, attachment)
    vault.lifecycle.revoke(agent, first, "error", Transfer("revoke-1"))
    answer("revoked", id=first)
    old = given(vault, Sample(2, is_act=True))
    new = given(vault, Sample(3, is_act=True, supersedes=old))
    answer("superseded", id=old)
    bundle = b"".join(vault.reading.bundle(holder, new, PURPOSE).read(0, None))
    answer("bundle", id=new, size=len(bundle))
    in_parallel(lambda number: given(vault, Sample(number, is_act=False)), range(10, 14))
    vault.close()
    return new


def second_life(settings: Settings) -> None:
    """Without a timestamp authority, and with a document that may be destroyed at once."""
    down = settings.model_copy(update={"tsa_url": _NOBODY, "tsa_timeout": 1.0, "retention_days": 0})
    vault = open_vault(down, background=False)
    waiting = [given(vault, Sample(20, is_act=True)), given(vault, Sample(21, is_act=False))]
    vault.close()
    vault = open_vault(settings.model_copy(update={"retention_days": 0}), background=False)
    vault.healer.heal()
    for document in waiting:
        answer("healed", id=document)
    doomed = given(vault, Sample(22, is_act=False))
    kept = given(vault, Sample(23, is_act=False))
    operator = vault.personas.named(OPERATOR).actor
    vault.lifecycle.destroy(operator, doomed)
    answer("destroyed", id=doomed)
    receive(vault, kept)
    read(vault, kept)
    vault.close()


def third_life(settings: Settings, document: str, reads: int) -> None:
    """Enough entries to fill a tile."""
    vault = open_vault(settings, background=False)
    in_parallel(lambda number: read(vault, document, f"{PURPOSE}-{number}"), range(reads))
    receive(vault, given(vault, Sample(30, is_act=False)))
    vault.close()


def in_parallel(work: object, numbers: Iterable[int]) -> None:
    """Do it from eight threads."""
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, numbers))  # type: ignore[arg-type]


def main() -> None:
    """Live three lives."""
    settings = Settings(data=Path(sys.argv[1]), publish_interval=0.05)
    act = first_life(settings)
    second_life(settings)
    third_life(settings, act, int(sys.argv[2]) if len(sys.argv) > 2 else 0)


if __name__ == "__main__":
    main()
