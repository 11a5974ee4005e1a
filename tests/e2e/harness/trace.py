"""Reads what strace wrote: calls in the order in which they completed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# Everything that can change a file, a name, or which descriptor means what.
CALLS = (
    "openat,open,creat,close,close_range,dup,dup2,dup3,fcntl,clone,clone3,fork,vfork,execve,chdir,fchdir,"
    "write,pwrite64,writev,pwritev,pwritev2,lseek,ftruncate,truncate,fallocate,"
    "rename,renameat,renameat2,link,linkat,unlink,unlinkat,rmdir,mkdir,mkdirat,symlink,symlinkat,"
    "fchmod,chmod,fchmodat,utimensat,fsync,fdatasync,sync,syncfs,sync_file_range,msync,"
    "copy_file_range,sendfile,splice,tee,io_uring_setup,io_submit"
)
_LINE = re.compile(r"(\d+) +(?:<\.\.\. (?P<resumed>\w+) resumed>)?(?P<rest>.*)")
_CALL = re.compile(r"(\w+)\((.*)\) += (-?\d+|\?)(.*)", re.DOTALL)
_QUOTED = re.compile(r'"((?:\\x[0-9a-f]{2})*)"(\.\.\.)?')


@dataclass(frozen=True, slots=True)
class Call:
    """One system call.

    Attributes:
        thread: thread identifier.
        name: of the call.
        arguments: text between the parentheses; strings are in hexadecimal.
        result: return value; negative for failures.
        begun: how many lines of the trace came before the call began.
    """

    thread: int
    name: str
    arguments: str
    result: int
    begun: int

    def parts(self) -> list[str]:
        """Split the arguments; not for calls with structures."""
        return self.arguments.split(", ")

    def text(self, place: int) -> str:
        """Return the string argument at a place."""
        return octets(self.parts()[place]).decode()


def octets(quoted: str) -> bytes:
    """Decode one quoted string."""
    match = _QUOTED.fullmatch(quoted.strip())
    assert match is not None, quoted[:80]
    assert match[2] is None, "strace cut a string short"
    return bytes.fromhex(match[1].replace("\\x", ""))


def vectors(arguments: str) -> bytes:
    """Return the octets of all buffers of a vectored write."""
    return b"".join(
        bytes.fromhex(match[1].replace("\\x", ""))
        for match in re.finditer(r'iov_base="((?:\\x[0-9a-f]{2})*)"', arguments)
    )


def calls(path: Path) -> Iterator[tuple[str, Call]]:
    """Yield ("begun", call without result) and ("ended", call), in the order of the trace."""
    open_calls: dict[int, tuple[str, int]] = {}
    with path.open(encoding="ascii") as lines:
        for number, line in enumerate(lines):
            match = _LINE.fullmatch(line.rstrip("\n"))
            assert match is not None, line[:120]
            thread, rest = int(match[1]), match["rest"]
            if rest.startswith(("+++", "---")):
                continue
            begun = number
            if match["resumed"]:
                head, begun = open_calls.pop(thread)
                rest = head + rest
            elif rest.endswith("<unfinished ...>"):
                rest = rest.removesuffix("<unfinished ...>").rstrip()
                open_calls[thread] = (rest, number)
                name, _, arguments = rest.partition("(")
                yield "begun", Call(thread, name, arguments, 0, number)
                continue
            found = _CALL.fullmatch(rest)
            assert found is not None, rest[:120]
            if not match["resumed"]:
                yield "begun", Call(thread, found[1], found[2], 0, number)
            if found[3] != "?":
                yield "ended", Call(thread, found[1], found[2], int(found[3]), begun)
