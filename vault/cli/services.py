"""`probans services`: which services an administration has, and for which purposes they may read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vault.authorization.purposes import Purpose, Purposes, Service
from vault.bootstrap import open_parts
from vault.cli.common import existing, plain_errors, settings_for
from vault.errors import Refused

Data = Annotated[Path, typer.Option("--data", help="Folder of the safe.")]
services = typer.Typer(
    help="Services des administrations et leurs motifs de lecture. / Services and their purposes.",
    no_args_is_help=True,
)


@services.command("list")
def list_services(data: Data = Path("demo/data")) -> None:
    """Lister les services. / List the services with their purposes."""
    with plain_errors():
        parts = open_parts(settings_for(existing(data)))
        try:
            for service in Purposes(parts.database, parts.records, parts.clock).all():
                typer.echo(f"{service.administration_id}  {service.id or '*'}  {service.fr} / {service.en}")
                for purpose in service.purposes:
                    typer.echo(f"    {purpose.code}  {purpose.fr} / {purpose.en}")
        finally:
            parts.close()


@services.command("set")
def set_service(
    administration: Annotated[str, typer.Argument(help="Identifier of the administration.")],
    service: Annotated[str, typer.Argument(help="Code of the service; `*`: the administration as a whole.")],
    name: Annotated[str, typer.Option("--name", metavar="FR|EN", help="Name in French and in English.")],
    purpose: Annotated[
        list[str],
        typer.Option("--purpose", metavar="CODE=FR|EN", help="A purpose; several are possible."),
    ],
    data: Data = Path("demo/data"),
) -> None:
    """Inscrire ou modifier un service. / Register a service, or change its names and purposes."""
    with plain_errors():
        french, english = _pair("name", name)
        purposes = tuple(_purpose(text) for text in purpose)
        parts = open_parts(settings_for(existing(data)))
        try:
            Purposes(parts.database, parts.records, parts.clock).register(
                Service(administration, "" if service == "*" else service, french, english, purposes)
            )
        finally:
            parts.close()


def _purpose(text: str) -> Purpose:
    code, separator, words = text.partition("=")
    if not separator:
        raise Refused("FIELD_INVALID", "a purpose is CODE=FR|EN", field="purpose")
    return Purpose(code, *_pair("purpose", words))


def _pair(field: str, text: str) -> tuple[str, str]:
    french, separator, english = text.partition("|")
    if not separator:
        raise Refused("FIELD_INVALID", "French and English, with | between them", field=field)
    return french.strip(), english.strip()
