"""`probans systems`: register software that calls by itself, list it, change its keys, end it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from vault.bootstrap import open_parts
from vault.cli.common import existing, plain_errors, settings_for
from vault.clock import rfc3339
from vault.domain.systems import SCOPES, System
from vault.people.system_keys import read_certificates, read_keys
from vault.people.system_registry import SystemRegistry

systems = typer.Typer(
    help="Inscrire les logiciels qui appellent le service. / Register software that calls the service.",
    no_args_is_help=True,
    add_completion=False,
)
Data = Annotated[Path, typer.Option("--data", help="Folder of the safe.")]
Client = Annotated[str, typer.Argument(metavar="CLIENT_ID", help="Identifier of the system (sys_…).")]
Key = Annotated[
    list[Path] | None,
    typer.Option(
        "--key",
        help="Public key: JSON Web Key, a set of them, or PEM; may be repeated.",
        exists=True,
        dir_okay=False,
    ),
]
Certificate = Annotated[
    list[Path] | None,
    typer.Option(
        "--certificate",
        help="Client certificates it may show, PEM; may be repeated.",
        exists=True,
        dir_okay=False,
    ),
]


@systems.command("add")
def add(
    name: Annotated[str, typer.Option(help="What its operators call it.")],
    scope: Annotated[list[str], typer.Option(help=f"What it may do; may be repeated: {', '.join(SCOPES)}.")],
    administration: Annotated[str | None, typer.Option(help="Administration whose it is.")] = None,
    portal: Annotated[bool, typer.Option("--portal", help="The portal: of no administration.")] = False,
    service: Annotated[str, typer.Option(help="Service of the administration.")] = "",
    key: Key = None,
    certificate: Certificate = None,
    data: Data = Path("demo/data"),
) -> None:
    """Inscrire un logiciel. / Register a system; prints its client identifier."""
    if portal == (administration is not None):
        raise typer.BadParameter("either --administration or --portal")
    with plain_errors(), _registry(data) as registry:
        system = registry.add(
            administration_id=administration,
            service=service,
            name=name,
            scopes=scope,
            keys=_keys(key),
            certificates=_certificates(certificate),
        )
    typer.echo(system.client_id)


@systems.command("list")
def list_all(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON array.")] = False,
    data: Data = Path("demo/data"),
) -> None:
    """Lister les logiciels inscrits, clos compris. / List systems, ended ones too."""
    with plain_errors(), _registry(data) as registry:
        found = registry.all()
    if as_json:
        typer.echo(json.dumps([_described(system) for system in found], indent=2, ensure_ascii=False))
        return
    for system in found:
        state = f"clos / ended {rfc3339(system.ended_at)}" if system.ended_at else "actif / active"
        whose = "/".join(filter(None, (system.administration_id or "portail / portal", system.service)))
        typer.echo(f"{system.client_id}  {state}  {whose}  {' '.join(sorted(system.scopes))}  {system.name}")


@systems.command("end")
def end(client_id: Client, data: Data = Path("demo/data")) -> None:
    """Clore un logiciel : ses jetons ne valent plus rien aussitôt. / End a system; its tokens stop counting at once."""
    with plain_errors(), _registry(data) as registry:
        system = registry.end(client_id)
    ended = rfc3339(system.ended_at) if system.ended_at else ""
    typer.echo(f"{system.client_id} : clos / ended {ended}")


@systems.command("rotate-key")
def rotate_key(
    client_id: Client,
    key: Key = None,
    certificate: Certificate = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="Those before count too, until the next change.")
    ] = False,
    data: Data = Path("demo/data"),
) -> None:
    """Changer ses clés et certificats. / Change its keys and certificates; tokens got with those before end at once."""
    with plain_errors(), _registry(data) as registry:
        system = registry.rotate(client_id, _keys(key), _certificates(certificate), keep=keep)
    for held in system.keys:
        typer.echo(f"{system.client_id}  {held['kty']}  kid {held['kid']}")
    for thumbprint in system.certificates:
        typer.echo(f"{system.client_id}  certificat / certificate  SHA-256 {thumbprint}")


@contextmanager
def _registry(data: Path) -> Iterator[SystemRegistry]:
    """Open the registry of a safe; the service may be running."""
    parts = open_parts(settings_for(existing(data)))
    try:
        yield SystemRegistry(parts.database, parts.records, parts.clock)
    finally:
        parts.close()


def _keys(paths: Sequence[Path] | None) -> list[dict[str, str]]:
    return [key for path in paths or () for key in read_keys(path.read_bytes())]


def _certificates(paths: Sequence[Path] | None) -> list[str]:
    return [each for path in paths or () for each in read_certificates(path.read_bytes())]


def _described(system: System) -> dict[str, object]:
    return {
        "client_id": system.client_id,
        "administration": system.administration_id,
        "service": system.service,
        "name": system.name,
        "scopes": sorted(system.scopes),
        "keys": [dict(key) for key in system.keys],
        "certificates": list(system.certificates),
        "created_at": rfc3339(system.created_at),
        "ended_at": rfc3339(system.ended_at) if system.ended_at else None,
    }
