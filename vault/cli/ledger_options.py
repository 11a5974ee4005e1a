"""Options that `audit` and `watch` share: the source, and the bar that shows how far a run is."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from vault.cli.common import console
from vault.errors import VaultError
from vault.evidence.ledger_source import FolderLedger, WebLedger
from vault.ledger.checkpoint import CheckpointReport, verify_checkpoint
from vault.ledger.errors import LedgerProofRefused
from vault.ledger.files import LogReader, PublishedFiles
from vault.ledger.findings import Progress
from vault.ledger.handover import follow, follow_known
from vault.ledger.policy import Policy
from vault.ledger.published import Known
from vault.ledger.watch_memory import load

INDETERMINATE = 3
Previous = Annotated[
    Path | None,
    typer.Option(
        exists=True,
        metavar="CHECKPOINT",
        help="Of a later generation: what is known of the one before, checkpoint, copied ledger or watch's state.",
    ),
]
EXIT_CODES = {"PASSED": 0, "FAILED": 1, "INDETERMINATE": INDETERMINATE}


def published_files(place: str) -> FolderLedger | WebLedger:
    """Return the published files of an address or folder. Raises typer.BadParameter."""
    try:
        if "://" in place:
            return WebLedger(place)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    folder = Path(place)
    if not folder.is_dir():
        raise typer.BadParameter(f"{place}: neither a folder nor an address")
    return FolderLedger(folder)


def read_known(since: Path | None, policy: Policy, files: PublishedFiles) -> Known | None:
    """Return the state of the log that is trusted already: a checkpoint file, or a copied ledger's folder.

    Args:
        since: file or folder.
        policy: keys that are trusted.
        files: the published ledger; it leads from those keys to the ones that signed since they were changed.

    Raises:
        typer.BadParameter: it cannot be read, or the policy does not accept it.
    """
    if since is None:
        return None
    # Memory is what the log signed: which witnesses had cosigned it then decides nothing about what it is now.
    policy = policy.of_logs()
    try:
        if since.is_dir():
            copy = LogReader(FolderLedger(since))
            return Known(follow(copy, copy.checkpoint(), policy).checkpoint, copy)
        note = since.read_bytes()
        try:
            return Known(verify_checkpoint(note, policy))
        except LedgerProofRefused as error:
            if error.code != "LOG_SIGNATURE_MISSING":
                raise
        reader = LogReader(files)
        changes = follow(reader, reader.checkpoint(), policy).changes
        later = tuple(key for change in changes for key in change.statement.keys)
        return Known(verify_checkpoint(note, replace(policy, logs=(*policy.logs, *later))))
    except (VaultError, OSError) as error:
        raise typer.BadParameter(f"--since: {error}") from error


def read_previous(path: Path | None, policy: Policy) -> CheckpointReport | None:
    """Return what is known of the generation before: a checkpoint, a copied ledger, or what `watch` remembers.

    Raises:
        typer.BadParameter: it cannot be read, or the policy does not accept it.
    """
    if path is None:
        return None
    policy = policy.of_logs()
    try:
        if path.is_dir():
            copy = LogReader(FolderLedger(path))
            return follow(copy, copy.checkpoint(), policy).checkpoint
        note = path.read_bytes()
        if note.startswith(b"{"):
            memory = load(path)
            note, policy = memory.note, follow_known(policy, memory.handovers)
        return verify_checkpoint(note, policy)
    except (VaultError, OSError) as error:
        raise typer.BadParameter(f"--previous: {error}") from error


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0))


@contextmanager
def shown_progress(what: str) -> Iterator[Progress]:
    """Show a bar on standard error while the block runs, if that is a terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bar(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
