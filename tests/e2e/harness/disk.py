"""A model of a disk: what a power loss may leave of a sequence of writes, names and flushes.

The model promises no more than POSIX does. Octets of a file survive when the file was flushed after they were
written; a name survives when its folder was flushed after the name was made. Nothing else survives for sure,
and all of it may: whole, torn at page boundaries, or in any other order.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

PAGE = 4096
Survivors = Literal["flushed", "names", "octets", "all"]


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened, in the order of completion.

    Attributes:
        kind: `write`, `truncate`, `mode`, `mtime` (to a file), `link`, `unlink`, `rename` (to a folder), `flush`,
            `flush-all`, `answer`.
        node: number of the file or folder it happened to; -1 for `flush-all` and `answer`.
        detail: depends on the kind.
        label: path of what is flushed, for `flush`.
    """

    kind: str
    node: int
    detail: tuple[Any, ...] = ()
    label: str = ""


@dataclass(slots=True)
class _File:
    octets: bytearray = field(default_factory=bytearray)
    mode: int = 0o600
    mtime_ns: int | None = None


class Node:
    """A file or folder: what of it is flushed, and the operations since."""

    __slots__ = ("applied", "flushed", "is_folder", "pending")

    def __init__(self, is_folder: bool) -> None:
        self.is_folder = is_folder
        self.flushed: Any = {} if is_folder else _File()
        self.pending: list[Event] = []
        self.applied = 0

    def flush(self, count: int) -> None:
        """Make the first `count` operations ever done to it durable."""
        due = max(0, count - self.applied)
        for event in self.pending[:due]:
            _apply(self.flushed, event)
        del self.pending[:due]
        self.applied += due


class Disk:
    """The disk at one moment, built by feeding events one after another."""

    def __init__(self, folders: Iterable[int], root: int) -> None:
        """Begin with an empty, durable root folder.

        Args:
            folders: numbers of the nodes that are folders.
            root: number of the root folder.
        """
        self._folders = set(folders)
        self._root = root
        self._nodes: dict[int, Node] = {}

    def feed(self, event: Event) -> None:
        """Take one event in."""
        if event.kind == "flush":
            self._node(event.node).flush(event.detail[0])
        elif event.kind == "flush-all":
            for node in self._nodes.values():
                node.flush(node.applied + len(node.pending))
        elif event.kind != "answer":
            self._node(event.node).pending.append(event)

    def leave(self, target: Path, survivors: Survivors | random.Random) -> None:
        """Write what a power loss leaves into an empty folder.

        Args:
            target: the folder.
            survivors: `flushed` (nothing that was not flushed), `names` (all names, flushed octets), `octets`
                (all octets, flushed names), `all`, or a source of chance that decides for each operation.
        """
        self._leave_folder(self._node(self._root), target, survivors)

    def _node(self, number: int) -> Node:
        if number not in self._nodes:
            self._nodes[number] = Node(number in self._folders)
        return self._nodes[number]

    def _leave_folder(self, folder: Node, target: Path, survivors: Survivors | random.Random) -> None:
        names = dict(folder.flushed)
        for event in _kept(folder.pending, survivors, keep=("names", "all")):
            _apply(names, event)
        for name, number in names.items():
            # The index of the write-ahead log lives in shared memory; SQLite makes it anew.
            if name.endswith("-shm"):
                continue
            node, path = self._node(number), target / name
            if node.is_folder:
                path.mkdir(mode=0o700)
                self._leave_folder(node, path, survivors)
            else:
                _leave_file(node, path, survivors)


def _leave_file(node: Node, path: Path, survivors: Survivors | random.Random) -> None:
    held = _File(bytearray(node.flushed.octets), node.flushed.mode, node.flushed.mtime_ns)
    for event in _kept(node.pending, survivors, keep=("octets", "all")):
        for piece in _torn(event, survivors):
            _apply(held, piece)
    path.write_bytes(held.octets)
    path.chmod(held.mode)
    if held.mtime_ns is not None:
        os.utime(path, ns=(held.mtime_ns, held.mtime_ns))


def _kept(
    pending: list[Event], survivors: Survivors | random.Random, keep: tuple[str, ...]
) -> Iterator[Event]:
    if isinstance(survivors, random.Random):
        share = survivors.choice((0.2, 0.5, 0.8, 1.0))
        yield from (event for event in pending if survivors.random() < share)
    elif survivors in keep:
        yield from pending


def _torn(event: Event, survivors: Survivors | random.Random) -> Iterator[Event]:
    """Split a write at page boundaries, and lose some of the pages."""
    if not isinstance(survivors, random.Random) or event.kind != "write" or survivors.random() < 0.5:
        yield event
        return
    offset, data = event.detail
    start = 0
    while start < len(data):
        end = min(len(data), start + PAGE - (offset + start) % PAGE)
        if survivors.random() < 0.7:
            yield Event("write", event.node, (offset + start, data[start:end]))
        start = end


def _apply(held: Any, event: Event) -> None:
    detail = event.detail
    match event.kind:
        case "write":
            offset, data = detail
            if len(held.octets) < offset:
                held.octets.extend(bytes(offset - len(held.octets)))
            held.octets[offset : offset + len(data)] = data
        case "truncate":
            (size,) = detail
            del held.octets[size:]
            held.octets.extend(bytes(size - len(held.octets)))
        case "mode":
            (held.mode,) = detail
        case "mtime":
            (held.mtime_ns,) = detail
        case "link":
            name, number = detail
            held[name] = number
        case "unlink":
            held.pop(detail[0], None)
        case "rename":
            old, new, number = detail
            # Kept alone, without the operation that made the old name, a rename has nothing to work on.
            if held.pop(old, None) is not None:
                held[new] = number
        case _:
            raise AssertionError(event.kind)
