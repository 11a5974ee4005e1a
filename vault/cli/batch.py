"""`probans batch`: many acts by a manifest and their files, in several processes, with a progress bar.

The same command again goes on where the last one was cut short: the key of the batch comes from its manifest.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TimeRemainingColumn

from vault.batches.report import ReportFile
from vault.bootstrap import open_vault
from vault.cli.batch_shards import Shard, run_shard
from vault.cli.common import FAILED, USAGE, console, existing, fail, plain_errors, settings_for
from vault.domain.actors import Actor
from vault.domain.batches import ENDED, Batch, BatchState, LineState
from vault.domain.transfer import Transfer
from vault.service import Vault

_CHUNK = 1 << 20
_LOOK_S = 0.5
_FORMS = {".csv": "csv", ".ndjson": "ndjson", ".jsonl": "ndjson"}
_DONE = (LineState.ISSUED, LineState.RECEIVED, LineState.REFUSED, LineState.WRONG)

Report = Annotated[Path | None, typer.Option(help="Write the report here: .csv, else JSON lines.")]
Summary = Annotated[Path | None, typer.Option(help="Write the sealed summary (PDF) here, once it has ended.")]


def batch(
    manifest: Annotated[
        Path,
        typer.Argument(
            exists=True, dir_okay=False, readable=True, help="CSV or NDJSON, a line for each act."
        ),
    ],
    sources: Annotated[
        list[Path] | None,
        typer.Argument(exists=True, readable=True, help="Folders, zips, tars of the files."),
    ] = None,
    data: Annotated[Path, typer.Option("--data", help="Folder of the safe.")] = Path("demo/data"),
    administration: Annotated[
        str, typer.Option(help="Identifier of the administration.")
    ] = "employeur-specimen",
    agent: Annotated[str, typer.Option(help="Development persona that acts.")] = "agent-paie",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check all lines, issue nothing.")] = False,
    all_or_nothing: Annotated[
        bool, typer.Option("--all-or-nothing", help="A line that is wrong refuses the batch.")
    ] = False,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Processes that issue.")] = 2,
    finish: Annotated[
        bool, typer.Option("--finish", help="End the batch although lines are left; else once all have acts.")
    ] = False,
    report: Report = None,
    summary: Summary = None,
    key: Annotated[str, typer.Option("--idempotency-key", help="By default made from the manifest.")] = "",
) -> None:
    """Issue many acts by a manifest and their files; run it again to go on after a crash."""
    form = _FORMS.get(manifest.suffix.lower())
    if form is None:
        fail(
            "Le manifeste se nomme .csv, .ndjson ou .jsonl. / the manifest's name ends in one of these.",
            USAGE,
        )
    with plain_errors():
        vault = open_vault(settings_for(existing(data)))
        try:
            actor = vault.personas.named(agent).actor
            begun = vault.batches.begin(
                actor,
                administration,
                form,
                _chunks(manifest),
                Transfer(key or f"batch-{_digest(manifest)}-{int(dry_run)}", manifest.stat().st_size),
                dry_run=dry_run,
                all_or_nothing=all_or_nothing,
            )
            whole = True
            if begun.state is BatchState.PAUSED:
                begun = vault.batches.move(actor, begun.id, BatchState.OPEN)
            if begun.state is BatchState.OPEN and sources:
                whole = _issue(vault, actor, begun, Shard(data, agent, begun.id, tuple(sources), 0, workers))
            ended = vault.batches.see(actor, begun.id)
            left = sum(ended.counts[state] for state in (LineState.WAITING, LineState.REFUSED))
            if ended.state is BatchState.OPEN and whole and (finish or not left):
                ended = vault.batches.move(actor, begun.id, BatchState.FINISHED)
            _leave(vault, actor, ended, report, summary)
        finally:
            vault.close()
    good = (
        ended.state in {BatchState.FINISHED, BatchState.CHECKED} and not left + ended.counts[LineState.WRONG]
    )
    if not (good or (dry_run and not ended.counts[LineState.WRONG])):
        raise typer.Exit(FAILED)


def _issue(vault: Vault, actor: Actor, begun: Batch, shard: Shard) -> bool:
    """Run the processes, and show how far they are; tell whether all of them came to their end."""
    # Forked, a process would have threads' locks of the safe that is open here.
    context = multiprocessing.get_context("spawn")
    processes = [
        context.Process(
            target=run_shard,
            args=(Shard(shard.data, shard.agent, shard.batch_id, shard.sources, index, shard.of),),
        )
        for index in range(shard.of)
    ]
    columns = (BarColumn(), TaskProgressColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("", total=begun.lines)
        try:
            for process in processes:
                process.start()
            while any(process.is_alive() for process in processes):
                _show(vault, actor, begun.id, progress, task)
                time.sleep(_LOOK_S)
        except KeyboardInterrupt:
            # What is under way comes to its end; the same command opens it again.
            console.print("En pause ; relancez la même commande. / paused: run the same command again.")
            vault.batches.move(actor, begun.id, BatchState.PAUSED)
        finally:
            for process in processes:
                if process.pid is not None:
                    process.join()
        _show(vault, actor, begun.id, progress, task)
    return all(process.exitcode == 0 for process in processes)


def _show(vault: Vault, actor: Actor, batch_id: str, progress: Progress, task: object) -> None:
    counts = vault.batches.see(actor, batch_id).counts
    progress.update(task, completed=sum(counts[state] for state in _DONE))  # type: ignore[arg-type]


def _leave(vault: Vault, actor: Actor, ended: Batch, report: Path | None, summary: Path | None) -> None:
    """Print the counts, and write the files asked for."""
    counts = ", ".join(f"{state.value} {ended.counts[state]}" for state in LineState)
    typer.echo(f"{ended.id}  {ended.state.value}  {ended.lines} lignes / lines: {counts}")
    if report is not None:
        form = "csv" if report.suffix.lower() == ".csv" else "json"
        _write(report, vault.batch_reports.report(actor, ended.id, form))
    if summary is not None and ended.state in ENDED:
        _write(summary, vault.batch_reports.summary(actor, ended.id))


def _write(path: Path, file: ReportFile) -> None:
    with path.open("wb") as stream:
        for chunk in file.chunks:
            stream.write(chunk)


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            yield chunk
