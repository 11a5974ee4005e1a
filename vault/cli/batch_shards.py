"""The processes of `probans batch`: each runs the whole pipeline over its share of the files."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from vault.batches.parts import Member, open_part
from vault.bootstrap import open_vault
from vault.cli.common import settings_for
from vault.domain.batches import Fed
from vault.errors import VaultError

_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Shard:
    """What one process does.

    Attributes:
        data: folder of the safe.
        agent: persona that acts.
        batch_id: for which batch.
        sources: folders, zips and tars.
        index: takes the files whose place gives this remainder…
        of: …when divided by this.
    """

    data: Path
    agent: str
    batch_id: str
    sources: tuple[Path, ...]
    index: int
    of: int


def members_of(sources: Sequence[Path], held: ExitStack) -> Iterator[Member]:
    """Yield the files of folders, zips and tars, numbered on and on. Raises Refused as `open_part`."""
    count = 0
    for source in sources:
        found = _folder(source) if source.is_dir() else open_part(held.enter_context(source.open("rb")))
        for member in found:
            count += 1
            yield replace(member, number=count)


def run_shard(shard: Shard) -> None:
    """Feed a share of the files; ends the process with 0, or 1 after a line on standard error."""
    # The whole group hears Ctrl-C; whoever started this process decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        fed = _feed(shard)
    except VaultError as error:
        sys.stderr.write(f"{error.code}: {error.detail}\n")
        raise SystemExit(1) from None
    for problem in fed.problems:
        where = "" if problem.line is None else f"ligne / line {problem.line}: "
        sys.stderr.write(f"{where}fichier / file {problem.member}: {problem.code} {problem.field}\n")


def _feed(shard: Shard) -> Fed:
    vault = open_vault(settings_for(shard.data), background=False)
    try:
        actor = vault.personas.named(shard.agent).actor
        with ExitStack() as held:
            members = members_of(shard.sources, held)
            mine = (each for each in members if each.number % shard.of == shard.index)
            return vault.batches.feed_members(actor, shard.batch_id, mine)
    finally:
        vault.close()


def _folder(folder: Path) -> Iterator[Member]:
    """Yield the regular files of a folder and those below, in the order of their paths."""
    for place, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = Path(place, name)
            if path.is_file() and not path.is_symlink():
                yield Member(1, name, path.stat().st_size, partial(_read, path))


def _read(path: Path) -> Iterator[bytes]:
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            yield chunk
