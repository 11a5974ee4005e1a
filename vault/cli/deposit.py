"""`probans issue` and `probans deposit`: one file into a safe, with a progress bar when it is large."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import orjson
import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

from vault.bootstrap import open_vault
from vault.cli.common import console, existing, plain_errors, settings_for
from vault.documents.typesetting import render
from vault.domain.documents import NewDocument, Outcome
from vault.domain.transfer import Transfer
from vault.errors import Refused

_CHUNK = 1 << 20
_LARGE = 16 << 20

Data = Annotated[Path, typer.Option("--data", help="Folder of the safe.")]
File = Annotated[Path, typer.Argument(exists=True, dir_okay=False, readable=True, help="The file.")]
Holder = Annotated[str, typer.Option(help="Identifier of the holder.")]
Title = Annotated[str, typer.Option(help="Title shown to the holder; the file's name when empty.")]
Case = Annotated[str, typer.Option(help="Reference of the request it belongs to.")]
Key = Annotated[
    str, typer.Option("--idempotency-key", help="Repeat with the same key: never a second document.")
]


def issue(
    file: File,
    data: Data = Path("demo/data"),
    holder: Holder = "camille",
    administration: Annotated[
        str, typer.Option(help="Identifier of the administration.")
    ] = "mairie-specimen",
    agent: Annotated[str, typer.Option(help="Development persona that acts.")] = "agent-etat-civil",
    title: Title = "",
    document_type: Annotated[str, typer.Option("--type", help="Type code.")] = "",
    case: Case = "",
    supersedes: Annotated[str, typer.Option(help="Act that this one replaces.")] = "",
    template: Annotated[
        str, typer.Option(help="The file is JSON data: typeset it with this template first.")
    ] = "",
    key: Key = "",
) -> None:
    """Issue a file, or data typeset with a template, as an act of an administration."""
    name = f"{file.stem}.pdf" if template else file.name
    new = NewDocument(holder, title or name, name, document_type, case, supersedes=supersedes or None)
    with plain_errors():
        settings = settings_for(existing(data))
        act = _typeset(template, file, settings.templates) if template else None
        vault = open_vault(settings)
        try:
            actor = vault.personas.named(agent).actor
            size = file.stat().st_size if act is None else len(act)
            transfer = Transfer(key or secrets.token_hex(16), size)
            with nullcontext(iter((act,))) if act is not None else file_chunks(file) as chunks:
                _print(vault.issuing.issue(actor, administration, new, chunks, transfer))
        finally:
            vault.close()


def deposit(
    file: File,
    data: Data = Path("demo/data"),
    holder: Holder = "camille",
    title: Title = "",
    case: Case = "",
    key: Key = "",
) -> None:
    """Submit a file to a holder's own safe as an attachment."""
    new = NewDocument(holder, title or file.name, file.name, case=case)
    with plain_errors():
        vault = open_vault(settings_for(existing(data)))
        try:
            actor = vault.personas.named(holder).actor
            transfer = Transfer(key or secrets.token_hex(16), file.stat().st_size)
            with file_chunks(file) as chunks:
                _print(vault.submissions.deposit(actor, new, chunks, transfer))
        finally:
            vault.close()


class file_chunks:  # noqa: N801 - reads as a verb at its uses
    """Context manager that yields a file's chunks, with a progress bar when it is large."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._progress: Progress | None = None

    def __enter__(self) -> Iterator[bytes]:
        size = self._file.stat().st_size
        if size >= _LARGE:
            self._progress = Progress(
                BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn(), console=console
            )
            self._progress.start()
        return self._chunks(size)

    def __exit__(self, *_: object) -> None:
        if self._progress is not None:
            self._progress.stop()

    def _chunks(self, size: int) -> Iterator[bytes]:
        task = self._progress.add_task("", total=size) if self._progress else None
        with self._file.open("rb") as stream:
            while chunk := stream.read(_CHUNK):
                yield chunk
                if self._progress is not None and task is not None:
                    self._progress.advance(task, len(chunk))


def _typeset(template: str, file: Path, folder: Path | None) -> bytes:
    try:
        data = orjson.loads(file.read_bytes())
    except orjson.JSONDecodeError as error:
        raise Refused("JSON_INVALID", str(error)) from error
    return render(template, data, at=datetime.now(UTC), folder=folder)


def _print(outcome: Outcome) -> None:
    state = (
        "scellé / sealed"
        if outcome.status_code == 201
        else "reçu, scellement en attente / received, seal waits"
    )
    typer.echo(f"{outcome.document_id}  {state}  (inscription / entry {outcome.seq})")
