"""`probans safes`: open safes and list them; operators see how much lies in one, never what, nor whose name."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from vault.bootstrap import open_parts
from vault.cli.common import existing, plain_errors, settings_for
from vault.composition.parts import Parts
from vault.db.matters import MatterRows
from vault.db.repositories import Safes
from vault.domain.matters import MatterKind
from vault.errors import NotFound
from vault.people.safes import NewSafe, count, identifiers, open_registered

safes = typer.Typer(
    help="Ouvrir et lister les coffres, sans leur contenu. / Open safes and list them, without their content.",
    no_args_is_help=True,
    add_completion=False,
)
Data = Annotated[Path, typer.Option("--data", help="Folder of the safe.")]


@safes.command("open")
def open_one(
    holder: Annotated[str, typer.Argument(help="Identifier of the holder.")],
    name: Annotated[str, typer.Option(help="Name of the holder.")],
    kind: Annotated[str, typer.Option(help="person or company.")] = "person",
    register: Annotated[str, typer.Option(help="Register that a company stands in.")] = "",
    number: Annotated[str, typer.Option(help="Its number there.")] = "",
    data: Data = Path("demo/data"),
) -> None:
    """Ouvrir un coffre, ou retrouver celui du titulaire. / Open a safe, or find the holder's; prints its identifier."""
    with plain_errors(), _parts(data) as parts:
        new = NewSafe(holder, name, kind, register, number)
        safe_id, _ = open_registered(parts.database, Safes(parts.keyring), parts.records, parts.clock, new)
    typer.echo(safe_id)


@safes.command("list")
def list_all(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
    data: Data = Path("demo/data"),
) -> None:
    """Lister les coffres. / List safes: when they were opened, how much lies in them, whether they are closed."""
    with plain_errors(), _parts(data) as parts:
        after = ""
        while page := identifiers(parts.database, after):
            for safe_id, _ in page:
                _say(_described(parts, safe_id), as_json=as_json)
            after = page[-1][0]


@safes.command("show")
def show(
    safe_id: Annotated[str, typer.Argument(metavar="SAFE_ID", help="Identifier of the safe (safe_…).")],
    data: Data = Path("demo/data"),
) -> None:
    """Montrer un coffre, sans contenu ni nom. / Show a safe, with neither content nor name."""
    with plain_errors(), _parts(data) as parts:
        found = _described(parts, safe_id)
    typer.echo(json.dumps(found, indent=2, ensure_ascii=False))


@contextmanager
def _parts(data: Path) -> Iterator[Parts]:
    """Open the backends; the service may be running."""
    parts = open_parts(settings_for(existing(data)))
    try:
        yield parts
    finally:
        parts.close()


def _described(parts: Parts, safe_id: str) -> dict[str, Any]:
    rows = MatterRows(parts.keyring)
    with parts.database.reading() as connection:
        safe = Safes(parts.keyring).load(connection, safe_id)
        if safe is None:
            raise NotFound("NOT_FOUND")
        counts = count(connection, safe_id)
        closures = rows.find(
            connection, MatterKind.CLOSURE, safe_id=safe_id, states={"asked", "notice", "closed"}, limit=20
        )
    return {
        "id": safe.id,
        "kind": safe.kind,
        "opened_at": safe.created_at,
        "documents": counts.documents,
        "octets": counts.octets,
        "statuses": counts.statuses,
        "closures": [{"id": each.id, "state": each.state} for each in closures],
    }


def _say(found: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False))
        return
    closures = " ".join(f"{each['id']}:{each['state']}" for each in found["closures"]) or "-"
    typer.echo(
        f"{found['id']}  {found['kind']}  {found['opened_at']}  {found['documents']} documents  "
        f"{found['octets']} octets  {closures}"
    )
