"""Turns a trace into events on files and folders below one root."""

from __future__ import annotations

import json
import posixpath
import re
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.harness.disk import Event
from tests.e2e.harness.trace import Call, calls, octets, vectors

MARK = b"@@"
_ROOT = 0
_TIMES = re.compile(r"\{tv_sec=(-?\d+), tv_nsec=(\d+)\}")
_IGNORED = frozenset({"execve", "chdir", "fchdir", "symlink", "symlinkat", "msync", "sync_file_range"})
_UNMODELLED = frozenset(
    {"copy_file_range", "sendfile", "splice", "tee", "io_uring_setup", "io_submit", "close_range", "pwritev2"}
)


@dataclass(slots=True)
class _Open:
    """An open file description, shared by duplicated descriptors."""

    node: int | None
    path: str
    position: int = 0
    appends: bool = False
    writable: bool = False


class Recording:
    """The events of a traced program.

    Attributes:
        events: in the order of completion.
        folders: numbers of the nodes that are folders.
        root: number of the root folder's node.
    """

    def __init__(self, trace: Path, root: Path) -> None:
        """Read a trace.

        Args:
            trace: written by `strace -f -xx`.
            root: folder that existed, empty, before the program ran; what happens elsewhere is left out.
        """
        self.events: list[Event] = []
        self.folders = {_ROOT}
        self.root = _ROOT
        self._base = str(root)
        self._names: dict[int, dict[str, int]] = {_ROOT: {}}
        self._sizes: dict[int, int] = {}
        self._done: dict[int, int] = {}
        self._next = 1
        self._tables: dict[int, dict[int, _Open]] = {}
        self._flushing: dict[int, int] = {}
        self._births: dict[int, dict[int, _Open]] = {}
        for phase, call in calls(trace):
            if phase == "begun":
                self._begin(call)
            else:
                self._end(call)

    def _begin(self, call: Call) -> None:
        if call.name == "close":
            # The number is free before the call returns: another thread's open may already have got it.
            self._table(call).pop(int(call.arguments), None)
        elif call.name in {"fsync", "fdatasync"}:
            held = self._table(call).get(int(call.arguments))
            # What others do to the file while the flush runs need not be covered by it.
            if held is not None and held.node is not None:
                self._flushing[call.thread] = self._done.get(held.node, 0)
        elif call.name in {"clone", "clone3", "fork", "vfork"}:
            table = self._table(call)
            self._births[call.thread] = table if "CLONE_FILES" in call.arguments else dict(table)
        elif call.name == "write" and call.arguments.startswith("1, "):
            quoted = call.arguments.split(", ")[1]
            data = octets(quoted)
            if data.startswith(MARK):
                self.events.append(Event("answer", -1, (json.loads(data[len(MARK) :]),)))

    def _end(self, call: Call) -> None:
        if call.result < 0 or call.name in _IGNORED:
            return
        handler = getattr(self, f"_do_{call.name}", None)
        if handler is not None:
            handler(call)
        elif call.name in _UNMODELLED:
            touched = [
                self._table(call).get(int(number)) for number in re.findall(r"\b\d+\b", call.arguments)
            ]
            assert all(each is None or each.node is None for each in touched), call

    # Descriptors

    def _table(self, call: Call) -> dict[int, _Open]:
        if call.thread not in self._tables:
            # The first thread, or a child that runs before its parent's call has returned.
            self._tables[call.thread] = self._births[max(self._births)] if self._births else {}
        return self._tables[call.thread]

    def _do_clone(self, call: Call) -> None:
        self._tables.setdefault(call.result, self._births.pop(call.thread))

    _do_clone3 = _do_fork = _do_vfork = _do_clone

    def _do_dup(self, call: Call) -> None:
        table = self._table(call)
        source = table.get(int(call.parts()[0]))
        if source is not None:
            table[call.result] = source
        else:
            table.pop(call.result, None)

    _do_dup2 = _do_dup3 = _do_dup

    def _do_fcntl(self, call: Call) -> None:
        if "F_DUPFD" in call.arguments:
            self._do_dup(call)

    def _do_openat(self, call: Call) -> None:
        parts = call.parts()
        path = self._absolute(call, parts[0], octets(parts[1]).decode())
        flags = parts[2].split("|")
        held = _Open(
            None, path, appends="O_APPEND" in flags, writable=bool({"O_RDWR", "O_WRONLY"} & {*flags})
        )
        self._table(call)[call.result] = held
        if not self._is_ours(path):
            return
        if "O_TMPFILE" in flags:
            held.node, held.path = self._new_node(), f"{path}/#unnamed"
            return
        folder, name = self._parent(path)
        if folder is None:
            held.node = _ROOT
            return
        held.node = self._names[folder].get(name)
        if held.node is None:
            assert "O_CREAT" in flags, call
            held.node = self._new_node()
            self._name(folder, name, held.node)
            self._add("mode", held.node, (int(parts[3], 8),))
        elif "O_TRUNC" in flags:
            self._truncate(held.node, 0)

    def _do_open(self, call: Call) -> None:
        arguments = f"AT_FDCWD, {call.arguments}"
        self._do_openat(Call(call.thread, "openat", arguments, call.result, call.begun))

    # Octets

    def _do_write(self, call: Call) -> None:
        number, quoted, _ = call.parts()
        self._write_here(call, int(number), octets(quoted))

    def _do_writev(self, call: Call) -> None:
        self._write_here(call, int(call.parts()[0]), vectors(call.arguments))

    def _write_here(self, call: Call, number: int, data: bytes) -> None:
        held = self._table(call).get(number)
        if held is None or held.node is None:
            return
        if held.appends:
            held.position = self._sizes.get(held.node, 0)
        self._write(held.node, held.position, data[: call.result])
        held.position += call.result

    def _do_pwrite64(self, call: Call) -> None:
        number, quoted, _, offset = call.parts()
        held = self._table(call).get(int(number))
        if held is not None and held.node is not None:
            self._write(held.node, int(offset), octets(quoted)[: call.result])

    def _do_lseek(self, call: Call) -> None:
        held = self._table(call).get(int(call.parts()[0]))
        if held is not None:
            held.position = call.result

    def _do_ftruncate(self, call: Call) -> None:
        number, size = call.parts()
        held = self._table(call).get(int(number))
        if held is not None and held.node is not None:
            self._truncate(held.node, int(size))

    def _do_fallocate(self, call: Call) -> None:
        number, mode, offset, length = call.parts()
        held = self._table(call).get(int(number))
        if held is not None and held.node is not None:
            assert mode == "0", call
            end = int(offset) + int(length)
            if end > self._sizes.get(held.node, 0):
                self._truncate(held.node, end)

    def _do_fchmod(self, call: Call) -> None:
        number, mode = call.parts()
        held = self._table(call).get(int(number))
        if held is not None and held.node is not None and held.node not in self.folders:
            self._add("mode", held.node, (int(mode, 8),))

    def _do_utimensat(self, call: Call) -> None:
        parts = call.parts()
        times = _TIMES.findall(call.arguments)
        held = self._table(call).get(int(parts[0])) if parts[0].isdigit() and parts[1] == "NULL" else None
        if held is not None and held.node is not None and times:
            seconds, nanoseconds = times[1]
            self._add("mtime", held.node, (int(seconds) * 10**9 + int(nanoseconds),))

    # Names

    def _do_mkdir(self, call: Call) -> None:
        folder, name = self._parent(self._absolute(call, "AT_FDCWD", call.text(0)))
        if folder is not None:
            node = self._new_node()
            self.folders.add(node)
            self._names[node] = {}
            self._name(folder, name, node)

    def _do_unlink(self, call: Call) -> None:
        self._unlink(self._absolute(call, "AT_FDCWD", call.text(0)))

    _do_rmdir = _do_unlink

    def _do_unlinkat(self, call: Call) -> None:
        self._unlink(self._absolute(call, call.parts()[0], call.text(1)))

    def _do_rename(self, call: Call) -> None:
        self._rename(call, "AT_FDCWD", call.text(0), "AT_FDCWD", call.text(1))

    def _do_renameat(self, call: Call) -> None:
        parts = call.parts()
        self._rename(call, parts[0], call.text(1), parts[2], call.text(3))

    _do_renameat2 = _do_renameat

    def _do_link(self, call: Call) -> None:
        self._link(call, "AT_FDCWD", call.text(0), "AT_FDCWD", call.text(1))

    def _do_linkat(self, call: Call) -> None:
        parts = call.parts()
        self._link(call, parts[0], call.text(1), parts[2], call.text(3))

    # Flushes

    def _do_fsync(self, call: Call) -> None:
        held = self._table(call).get(int(call.arguments))
        if held is not None and held.node is not None:
            done = self._flushing.pop(call.thread)
            self.events.append(Event("flush", held.node, (done,), self._relative(held.path)))

    _do_fdatasync = _do_fsync

    def _do_sync(self, call: Call) -> None:
        self.events.append(Event("flush-all", -1))

    _do_syncfs = _do_sync

    # Helpers

    def _add(self, kind: str, node: int, detail: tuple[object, ...]) -> None:
        self.events.append(Event(kind, node, detail))
        self._done[node] = self._done.get(node, 0) + 1

    def _new_node(self) -> int:
        self._next += 1
        return self._next

    def _name(self, folder: int, name: str, node: int) -> None:
        self._names[folder][name] = node
        self._add("link", folder, (name, node))

    def _write(self, node: int, offset: int, data: bytes) -> None:
        self._sizes[node] = max(self._sizes.get(node, 0), offset + len(data))
        self._add("write", node, (offset, data))

    def _truncate(self, node: int, size: int) -> None:
        self._sizes[node] = size
        self._add("truncate", node, (size,))

    def _unlink(self, path: str) -> None:
        folder, name = self._parent(path)
        if folder is not None:
            del self._names[folder][name]
            self._add("unlink", folder, (name,))

    def _rename(self, call: Call, old_at: str, old: str, new_at: str, new: str) -> None:
        source, old_name = self._parent(self._absolute(call, old_at, old))
        target, new_name = self._parent(self._absolute(call, new_at, new))
        assert (source is None) == (target is None), call
        if source is None or target is None:
            return
        node = self._names[source].pop(old_name)
        self._names[target][new_name] = node
        if source == target:
            self._add("rename", source, (old_name, new_name, node))
        else:
            self._add("link", target, (new_name, node))
            self._add("unlink", source, (old_name,))

    def _link(self, call: Call, old_at: str, old: str, new_at: str, new: str) -> None:
        folder, name = self._parent(self._absolute(call, new_at, new))
        if folder is None:
            return
        by_number = re.fullmatch(r"/proc/self/fd/(\d+)", old)
        if by_number:
            node = self._table(call)[int(by_number[1])].node
        else:
            source, old_name = self._parent(self._absolute(call, old_at, old))
            assert source is not None, call
            node = self._names[source][old_name]
        assert node is not None, call
        self._name(folder, name, node)

    def _absolute(self, call: Call, at: str, path: str) -> str:
        if path.startswith("/") or at == "AT_FDCWD":
            return posixpath.normpath(path)
        return posixpath.normpath(f"{self._table(call)[int(at)].path}/{path}")

    def _is_ours(self, path: str) -> bool:
        return path == self._base or path.startswith(f"{self._base}/")

    def _relative(self, path: str) -> str:
        return path[len(self._base) + 1 :]

    def _parent(self, path: str) -> tuple[int | None, str]:
        """Return the node of the folder of a path and the name in it; None for what is not below the root."""
        if not self._is_ours(path) or path == self._base:
            return None, ""
        *folders, name = self._relative(path).split("/")
        node = _ROOT
        for each in folders:
            node = self._names[node][each]
        return node, name
