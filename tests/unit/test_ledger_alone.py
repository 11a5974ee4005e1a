"""What auditors run alone loads neither database, nor object store, nor settings."""

from __future__ import annotations

import subprocess
import sys

import pytest

ALONE = [
    *("canonical", "chain", "checkpoint", "entry", "errors", "events", "keys", "note", "opening"),
    *("policy", "receipt", "tags", "tiles", "tree", "vkeys"),
    *("witness", "witness_client", "witness_keys", "witness_protocol", "witness_server"),
    *("files", "findings", "published", "pyramids", "handover", "succession"),
    *("anchor", "anchor_audit", "audit_state", "joining", "quick", "sampled", "shards"),
]
FORBIDDEN = ("sqlalchemy", "alembic", "storage", "vault.db", "vault.settings", "vault.bootstrap", "fastapi")


@pytest.mark.parametrize("names", [ALONE])
def test_modules_of_auditors_stand_alone(names: list[str]) -> None:
    imports = "; ".join(f"import vault.ledger.{name}" for name in names)
    code = f"{imports}; import sys; print([m for m in {FORBIDDEN!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
