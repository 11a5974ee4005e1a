"""Power loss: what is answered was flushed before, in the right order, and every flush is needed.

The calls that a store makes are recorded (in Python, and once more by strace) and judged by one rule: a file
is clean when it gets its final name, and every folder whose names changed is clean at the answer.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from storage import filesystem_objects
from storage.encryption import LocalKeyWrapper
from storage.filesystem import FilesystemLogStore, FilesystemObjectStore, FilesystemRecordStore

Event = tuple[str, ...]
UNTIL = datetime(2050, 1, 1, tzinfo=UTC)


def faults(events: Iterable[Event]) -> list[str]:
    """Judge a recording; return what power loss could take back.

    Events: ("change", file) bytes, mode or time stamp; ("flush", file or folder); ("name", file, path);
    ("folder", path) created; ("unname", path); ("answer",).
    """
    found: list[str] = []
    dirty_files: set[str] = set()
    dirty_folders: set[str] = set()
    for kind, *names in events:
        if kind == "change":
            dirty_files.add(names[0])
        elif kind == "flush":
            dirty_files.discard(names[0])
            dirty_folders.discard(names[0])
        elif kind == "name":
            if names[0] in dirty_files:
                found.append(f"named before its content was flushed: {names[1]}")
            dirty_folders.add(str(Path(names[1]).parent))
        elif kind in {"folder", "unname"}:
            dirty_folders.add(str(Path(names[0]).parent))
        else:
            found += [f"answered before its content was flushed: {file}" for file in sorted(dirty_files)]
            found += [f"answered before its names were flushed: {each}" for each in sorted(dirty_folders)]
    return found


class Recorder:
    """Notes the calls of the os module that matter, and performs them."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.events: list[Event] = []
        for name in ("write", "fchmod", "utime", "fsync", "link", "replace", "mkdir", "unlink"):
            patch.setattr(os, name, getattr(self, f"_{name}")(getattr(os, name)))

    def answer(self) -> None:
        self.events.append(("answer",))

    def _target(self, fd: int) -> str:
        path = Path(f"/proc/self/fd/{fd}").readlink()
        return str(path) if path.is_dir() else f"inode {os.fstat(fd).st_ino}"

    def _change(self, call: Callable[..., object]) -> Callable[..., object]:
        def noted(fd: int, *rest: object, **named: object) -> object:
            self.events.append(("change", self._target(fd)))
            return call(fd, *rest, **named)

        return noted

    _write = _fchmod = _utime = _change

    def _fsync(self, call: Callable[[int], None]) -> Callable[[int], None]:
        def noted(fd: int) -> None:
            call(fd)
            self.events.append(("flush", self._target(fd)))

        return noted

    def _link(self, call: Callable[..., None]) -> Callable[..., None]:
        def noted(source: object, target: object, **named: object) -> None:
            call(source, target, **named)
            self.events.append(("name", f"inode {Path(str(target)).stat().st_ino}", str(target)))

        return noted

    _replace = _link

    def _mkdir(self, call: Callable[..., None]) -> Callable[..., None]:
        def noted(path: object, *rest: object, **named: object) -> None:
            call(path, *rest, **named)
            self.events.append(("folder", str(path)))

        return noted

    def _unlink(self, call: Callable[..., None]) -> Callable[..., None]:
        def noted(path: object, *rest: object, **named: object) -> None:
            call(path, *rest, **named)
            if "staging" not in str(path) and not Path(str(path)).name.startswith("."):
                self.events.append(("unname", str(path)))

        return noted


def commit_three(folder: Path, recorder: Recorder) -> None:
    store = FilesystemObjectStore(folder)
    store.commit([store.put([b"one"], UNTIL)])
    recorder.answer()
    store.commit([store.put([bytes([number])], UNTIL) for number in range(20)])
    recorder.answer()
    store.close()


def commit_large(folder: Path, recorder: Recorder) -> None:
    store = FilesystemObjectStore(folder)
    store.commit([store.put([bytes(1 << 20)] * 5)])
    recorder.answer()


def extend_and_delete(folder: Path, recorder: Recorder) -> None:
    store = FilesystemObjectStore(folder, now=lambda: datetime(2060, 1, 1, tzinfo=UTC))
    [stored] = store.commit([store.put([b"one"])])
    store.extend(stored.address, UNTIL)
    recorder.answer()
    store.delete(stored.address)
    recorder.answer()


def write_log(folder: Path, recorder: Recorder) -> None:
    log = FilesystemLogStore(folder)
    log.put_if_absent("tile/0/x001/000", b"tile", "")
    recorder.answer()
    log.compare_and_swap("checkpoint", None, b"1", "")
    recorder.answer()
    log.compare_and_swap("checkpoint", b"1", b"2", "")
    recorder.answer()
    log.remove("tile/0/x001/000")
    recorder.answer()


def write_record(folder: Path, recorder: Recorder) -> None:
    records = FilesystemRecordStore(folder)
    records.write("doc", b"1")
    recorder.answer()
    records.write("doc", b"2")
    recorder.answer()
    records.delete("doc")
    recorder.answer()


def create_keys(folder: Path, recorder: Recorder) -> None:
    LocalKeyWrapper.create(folder / "kek.json")
    recorder.answer()


WORK = [commit_three, commit_large, extend_and_delete, write_log, write_record, create_keys]


@pytest.mark.parametrize("work", WORK)
@pytest.mark.parametrize("unnamed", [True, False])
def test_flushed_before_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, work: Callable[[Path, Recorder], None], unnamed: bool
) -> None:
    if not unnamed:
        monkeypatch.setattr(filesystem_objects, "can_stage_unnamed", lambda _: False)
    with monkeypatch.context() as patch:
        recorder = Recorder(patch)
        work(tmp_path / "new" / "store", recorder)
    kinds = {event[0] for event in recorder.events}
    assert {"flush", "folder", "name", "answer"} <= kinds
    assert faults(recorder.events) == []


@pytest.mark.parametrize("work", WORK)
def test_without_any_one_flush_something_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, work: Callable[[Path, Recorder], None]
) -> None:
    with monkeypatch.context() as patch:
        recorder = Recorder(patch)
        work(tmp_path / "new" / "store", recorder)
    events = recorder.events
    flushes = [place for place, event in enumerate(events) if event[0] == "flush"]
    # what this process flushes without having changed it guards against other processes: see the next test
    needed = [place for place in flushes if faults(events[:place] + events[place + 1 :])]
    changed = {event[1] for event in events if event[0] == "flush"}
    assert {events[place][1] for place in needed} == changed - _only_of_others(events)


def _only_of_others(events: list[Event]) -> set[str]:
    """Files and folders that this process flushed without ever having changed them."""
    dirty: set[str] = set()
    idle: set[str] = set()
    useful: set[str] = set()
    for kind, *names in events:
        if kind == "change":
            dirty.add(names[0])
        elif kind == "name":
            dirty.add(str(Path(names[1]).parent))
        elif kind in {"folder", "unname"}:
            dirty.add(str(Path(names[0]).parent))
        elif kind == "flush":
            (useful if names[0] in dirty else idle).add(names[0])
            dirty.discard(names[0])
    return idle - useful


def test_the_unfinished_work_of_another_process_is_flushed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second process that finds the object there answers only when content and names are flushed."""
    folder = tmp_path / "store"
    first = FilesystemObjectStore(folder)
    [stored] = first.commit([first.put([b"same"])])
    path = next(folder.glob("objects/*/*"))
    with monkeypatch.context() as patch:
        recorder = Recorder(patch)
        second = FilesystemObjectStore(folder)
        recorder.events += [
            ("change", f"inode {path.stat().st_ino}"),
            ("folder", str(path.parent)),
            ("unname", str(path)),
        ]
        second.commit([second.put([b"same"])])
        recorder.events = [event for event in recorder.events if not _staging(event, path)]
        recorder.answer()
    assert faults(recorder.events) == []
    assert second.stat(stored.address) == stored
    log = FilesystemLogStore(tmp_path / "log")
    log.put_if_absent("tile/0/000", b"same", "")
    path = tmp_path / "log/tile/0/000"
    with monkeypatch.context() as patch:
        recorder = Recorder(patch)
        other = FilesystemLogStore(tmp_path / "log")
        recorder.events += [("change", f"inode {path.stat().st_ino}"), ("unname", str(path))]
        recorder.events += [("folder", str(path.parent)), ("folder", str(path.parent.parent))]
        other.put_if_absent("tile/0/000", b"same", "")
        recorder.answer()
    assert faults(recorder.events) == []


def _staging(event: Event, path: Path) -> bool:
    return event[0] == "change" and event[1] != f"inode {path.stat().st_ino}"


SCRIPT = """
import os, sys
from datetime import UTC, datetime
from pathlib import Path
from storage.filesystem import FilesystemLogStore, FilesystemObjectStore, FilesystemRecordStore
root = Path(sys.argv[1])
store = FilesystemObjectStore(root / "objects-store")
log = FilesystemLogStore(root / "log")
records = FilesystemRecordStore(root / "records")
os.write(1, b"BEGIN")
store.commit([store.put([b"content" * 1000], datetime(2050, 1, 1, tzinfo=UTC))])
os.write(1, b"ANSWER")
log.put_if_absent("tile/0/000", b"tile", "")
os.write(1, b"ANSWER")
log.compare_and_swap("checkpoint", None, b"1", "")
log.compare_and_swap("checkpoint", b"1", b"2", "")
os.write(1, b"ANSWER")
records.write("doc", b"record")
os.write(1, b"ANSWER")
"""
CALLS = "write,pwrite64,fchmod,utimensat,fsync,fdatasync,link,linkat,rename,renameat,renameat2,mkdir,mkdirat"
LINE = re.compile(r"(?P<call>\w+)\((?P<arguments>.*)\) += (?P<result>-?\d+)")


@pytest.mark.needs("strace")
def test_flushed_before_answered_by_strace(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    root = tmp_path / "data"
    subprocess.run(
        [
            *("strace", "-f", "-y", "-s", "16", "-o", str(trace), "-e", f"trace={CALLS}"),
            *(sys.executable, "-c", textwrap.dedent(SCRIPT), str(root)),
        ],
        check=True,
        stdout=subprocess.DEVNULL,
        cwd=Path(filesystem_objects.__file__).parent.parent,
        timeout=60,
    )
    events = list(_events(trace.read_text(errors="replace"), str(tmp_path)))
    assert [event[0] for event in events].count("answer") == 4
    assert [event[0] for event in events].count("name") == 5
    assert faults(events) == []
    for place, event in enumerate(events):
        if event[0] == "flush" and "staging/" in event[1]:
            assert faults(events[:place] + events[place + 1 :]), f"not needed: {event}"


def _events(trace: str, root: str) -> Iterable[Event]:
    """Read strace's lines; staging files are known by their path, which strace adds to descriptors."""
    unnamed = ""
    unfinished: dict[str, str] = {}
    for printed in trace.splitlines():
        thread, _, line = printed.partition(" ")
        if line.endswith(" <unfinished ...>"):
            unfinished[thread] = line.removesuffix(" <unfinished ...>")
            continue
        if " resumed>" in line:
            line = unfinished.pop(thread, "") + line.partition(" resumed>")[2]
        match = LINE.match(line.strip())
        if match is None or int(match["result"]) < 0:
            continue
        call, arguments = match["call"], match["arguments"]
        of = re.match(r"\d+<(?P<path>[^>]*)>", arguments)
        held = of["path"].removesuffix(" (deleted)").removesuffix("(deleted)") if of else ""
        texts = re.findall(r'"([^"]*)"', arguments)
        if call in {"write", "pwrite64"} and "ANSWER" in arguments:
            yield ("answer",)
        elif call in {"write", "pwrite64", "fchmod", "utimensat"} and held.startswith(root):
            unnamed = held
            yield ("change", held)
        elif call in {"fsync", "fdatasync"} and held.startswith(root):
            yield ("flush", held)
        elif call in {"link", "linkat", "rename", "renameat", "renameat2"} and texts[-1].startswith(root):
            yield ("name", unnamed if texts[0].startswith("/proc/") else texts[0], texts[-1])
        elif call in {"mkdir", "mkdirat"} and texts[0].startswith(root):
            yield ("folder", texts[0])
