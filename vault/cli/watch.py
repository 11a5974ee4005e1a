"""`probans watch`: follow a published ledger, and be told of what concerns a document."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from plumbing.disk import replace_durably
from vault.cli.common import FAILED, USAGE, console, fail
from vault.cli.ledger_options import INDETERMINATE, Previous, published_files, read_previous
from vault.cli.policy_options import PolicyFile, Vkeys, read_policy
from vault.errors import VaultError
from vault.ledger.policy import Policy
from vault.ledger.published import audit_previous
from vault.ledger.watch import Alarm, News, Watcher

_AGAIN_S = 1.0  # between looks while the newest checkpoint waits for its witnesses


def watch(
    source: Annotated[str, typer.Argument(help="Address of the ledger, or folder of a copied one.")],
    state: Annotated[
        Path, typer.Option("--state", dir_okay=False, metavar="FILE", help="Where the watcher remembers.")
    ],
    vkeys: Vkeys = None,
    policy: PolicyFile = None,
    key: Annotated[
        list[str] | None,
        typer.Option("--key", metavar="HEX", help="K_status or K_access of a document; may be repeated."),
    ] = None,
    stall: Annotated[
        float | None,
        typer.Option(min=0.0, metavar="MINUTES", help="Alarm when no new checkpoint came for so long."),
    ] = None,
    every: Annotated[float, typer.Option(min=0.1, metavar="SECONDS", help="Time between two looks.")] = 10.0,
    grace: Annotated[
        float,
        typer.Option(
            min=0.0, metavar="SECONDS", help="How long too few cosignatures of the newest are in order."
        ),
    ] = 30.0,
    previous: Previous = None,
    once: Annotated[bool, typer.Option("--once", help="Look once and end.")] = False,
) -> None:
    """Surveiller un registre. / Follow a ledger; end with code 1 on fork, rollback or stall.

    Exit code of --once: 0 as it should be, 1 alarm, 3 nothing can be said now, 2 wrong usage.
    """
    trusted = read_policy(vkeys, policy)
    if trusted is None:
        fail("--vkeys manque : un registre se vérifie avec ses clés. / --vkeys is needed.", USAGE)
    watcher = _open(source, trusted, state, key or [])
    _check_previous(source, trusted, previous)
    quorum = _Quorum(grace)
    while True:
        reached = _look(watcher, state, quorum)
        if stall is not None and watcher.silent_for(time.time()) > stall * 60:
            minutes = watcher.silent_for(time.time()) / 60
            fail(
                f"ALARME / ALARM LEDGER_STALLED: {minutes:.0f} min sans nouveau point / without new checkpoint"
            )
        if once and not quorum.waits:
            raise typer.Exit(0 if reached else INDETERMINATE)
        time.sleep(min(every, _AGAIN_S) if quorum.waits else every)


@dataclass(slots=True)
class _Quorum:
    """Whether too few cosignatures are the moment between a publication and its witnesses' answers, or news.

    Attributes:
        grace: seconds that they may take.
        since: when the first of the looks was that found too few, one after another; None when the last found enough.
        waits: too few, for no longer than that.
    """

    grace: float
    since: float | None = None
    waits: bool = False

    def met(self, news: News) -> bool:
        """Tell whether the newest checkpoint is in order, or may yet be; say what is not."""
        refused, self.waits = news.refused, False
        if refused is None:
            self.since = None
            return True
        now = time.monotonic()
        if self.since is None:
            self.since = now
        self.waits = refused.code == "WITNESS_QUORUM_UNMET" and now - self.since < self.grace
        if not self.waits:
            found = refused.params.get("found", "")
            console.print(f"{refused.code}: {refused.detail} {found}", soft_wrap=True, markup=False)
        return self.waits


def _open(source: str, policy: Policy, state: Path, keys: list[str]) -> Watcher:
    if not all(re.fullmatch(r"[0-9a-fA-F]{64}", key) for key in keys):
        raise typer.BadParameter("--key: not 64 hexadecimal digits")
    try:
        return Watcher(published_files(source), policy, state, [bytes.fromhex(key) for key in keys])
    except VaultError as error:
        raise typer.BadParameter(f"--state: {error.code} {error.detail}") from error


def _check_previous(source: str, policy: Policy, path: Path | None) -> None:
    """End with an alarm where a generation does not go on from what is known of the one before."""
    known = read_previous(path, policy)
    if known is None:
        return
    report = audit_previous(published_files(source), policy, known)
    for problem in report.problems:
        text = f"{problem.code}: attendu / expected {problem.expected}, trouvé / found {problem.found}"
        if problem.indeterminate:
            console.print(text, soft_wrap=True, markup=False)
        else:
            fail(f"ALARME / ALARM {text}", FAILED)


def _look(watcher: Watcher, state: Path, quorum: _Quorum) -> bool:
    """Look once and tell; False when nothing can be said. Ends the program on an alarm."""
    try:
        news = watcher.look(time.time())
    except Alarm as alarm:
        kept = _keep(alarm, state)
        fail(f"ALARME / ALARM {alarm.code}: {alarm.detail}{kept}", FAILED)
    except VaultError as error:
        console.print(f"{error.code}: {error.detail}", soft_wrap=True, markup=False)
        quorum.waits = False
        return False
    _tell(news)
    watcher.keep()
    return quorum.met(news)


def _keep(alarm: Alarm, state: Path) -> str:
    """Keep the signed checkpoints: together they prove what the log did, to anybody."""
    if not alarm.notes:
        return ""
    names = []
    for number, note in enumerate(alarm.notes, start=1):
        path = state.with_name(f"{state.name}.alarm-{number}")
        replace_durably(path, note, alone=True)
        names.append(str(path))
    return f"; preuve / proof: {', '.join(names)}"


def _tell(news: News) -> None:
    if news.grown:
        checkpoint = news.checkpoint
        witnesses = ", ".join(checkpoint.witnesses) or "-"
        typer.echo(
            f"{checkpoint.origin} {checkpoint.size} (+{news.grown}) {checkpoint.root.hex()} "
            f"témoins / witnesses: {witnesses}"
        )
    for change in news.key_changes:
        typer.echo(
            f"CLÉS CHANGÉES à l'inscription {change.seq}, annoncées dans le registre que signent les clés tenues ; "
            f"les anciennes signent jusqu'au {change.until} / KEYS CHANGED at entry {change.seq}, announced in the log "
            f"signed by the keys you trust; the old ones sign until {change.until}:"
        )
        for key in change.keys:
            typer.echo(f"  {key.vkey}")
    if news.retired is not None:
        typer.echo(
            f"REGISTRE CLOS à {news.retired.size} inscriptions ; la suite est / LEDGER RETIRED at {news.retired.size} "
            f"entries; it goes on as {news.retired.successor}"
        )
    for item in news.sightings:
        typer.echo(
            f"clé / key {item.key_id} : inscription / entry {item.seq}, {item.time}, compteur / counter {item.counter}"
        )
