"""The two ways to say which keys a ledger has; loads neither database nor store, for auditors' commands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from signing.errors import KeyUnusable
from signing.trust import TrustStore
from vault.ledger.errors import LedgerProofRefused
from vault.ledger.policy import Policy

FILE = {"exists": True, "dir_okay": False, "readable": True}

Vkeys = Annotated[
    Path | None, typer.Option(**FILE, metavar="FILE", help="Public keys of the ledger, one a line.")
]
PolicyFile = Annotated[
    Path | None, typer.Option(**FILE, metavar="FILE", help="Policy: keys of the ledger and witnesses.")
]


def read_policy(vkeys: Path | None, policy: Path | None) -> Policy | None:
    """Return the policy of the one option that was given, None without any. Raises typer.BadParameter."""
    if vkeys is not None and policy is not None:
        raise typer.BadParameter("give --vkeys or --policy, not both")
    try:
        if vkeys is not None:
            return Policy.from_vkeys(vkeys.read_bytes())
        return Policy.parse(policy.read_bytes()) if policy is not None else None
    except (LedgerProofRefused, OSError) as error:
        raise typer.BadParameter(f"{'--vkeys' if vkeys else '--policy'}: {error}") from error


def read_roots(path: Path | None, option: str) -> TrustStore | None:
    """Return the root certificates of a PEM file, None without one. Raises typer.BadParameter."""
    if path is None:
        return None
    try:
        return TrustStore.from_pem(path.read_bytes())
    except (KeyUnusable, OSError) as error:
        raise typer.BadParameter(f"{option}: {error}") from error
