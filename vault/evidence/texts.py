"""LISEZMOI.txt and README.txt: how to check a bundle by hand, with no service and none of our programs.

The texts are the same for every bundle of one kind, so a reader's copy can be compared with a list of known
digests: a bundle whose instructions were rewritten is refused even where no seal covers them. When a text
changes, the digest of the old one goes into `FORMER` and stays there for ever.

Prose and commands lie in the folder `instructions`: in the prose, `<<name>>` stands for the commands under
`#: name` in commands.sh, and `[pades]`, `[cades]`, `[all]` begin what is meant for one kind of bundle.
Each command line of a finished text is indented by four spaces; the tests run them.
"""

from __future__ import annotations

import re
from functools import cache
from hashlib import sha256
from importlib import resources

PADES = "pades"
CADES = "cades"
NAMES = ("LISEZMOI.txt", "README.txt")

# (member, kind) -> digests of texts that earlier releases wrote.
FORMER: dict[tuple[str, str], frozenset[str]] = {
    ("LISEZMOI.txt", PADES): frozenset(
        {
            "95de724a91e6f6ce7f8dc70661c3d7216a372db1805232915edf4c6d27d93586",
            "65eaa49389683ac28c45fe0670f96cbb3ede680fc129154ba0f40dac1218acff",
        }
    ),
    ("README.txt", PADES): frozenset(
        {
            "0f916582014c9342fc7df66d3534cc321ae88e9d7183cd66fb4fc4d7452bf909",
            "e01a6d899d25269ae1f6d4369a3b19e78193cae857422d4f34ef727d62af598c",
        }
    ),
    ("LISEZMOI.txt", CADES): frozenset(
        {
            "34b45736b42e0c13371f67732d9b62da484dd07c38f740e41ff06f1a3d2b50cb",
            "ccf6be07ecfc87563e29f95af993280471e3402f9da1d144170d60fb7aee52b3",
        }
    ),
    ("README.txt", CADES): frozenset(
        {
            "0b8fbd133e6cf0b1033743291c46efda7e7b8ae9d3f65beb348139bf0385c5f0",
            "68984bf9cde155af458dc0a6aa438658c4ed37950535dd4fda617441a1c9b701",
        }
    ),
}

_INDENT = "    "
_BLOCK = re.compile(r"^#: ([a-z]+)\n", re.MULTILINE)


@cache
def texts(kind: str) -> tuple[tuple[str, bytes], ...]:
    """Return (member, UTF-8 text) of the French and the English instructions for `pades` or `cades`."""
    return tuple((name, _compose(name, kind)) for name in NAMES)


@cache
def known_digests(member: str, kind: str) -> frozenset[str]:
    """Return the hex SHA-256 of every text that any release wrote as this member for this kind of bundle."""
    current = {sha256(text).hexdigest() for name, text in texts(kind) if name == member}
    return FORMER.get((member, kind), frozenset()) | current


def commands(text: bytes) -> str:
    """Return the commands of a text as a shell script."""
    marked = (line for line in text.decode().splitlines() if line.startswith(_INDENT))
    return "".join(f"{line[len(_INDENT) :]}\n" for line in marked)


def _compose(name: str, kind: str) -> bytes:
    blocks = _blocks()
    wanted = True
    lines: list[str] = []
    for line in _resource(name).splitlines():
        if line in {"[pades]", "[cades]", "[all]"}:
            wanted = line[1:-1] in {kind, "all"}
        elif wanted and line.startswith("<<"):
            lines += [f"{_INDENT}{command}" for command in blocks[line[2:-2]]]
        elif wanted:
            lines.append(line)
    return "".join(f"{line}\n" for line in lines).encode()


def _blocks() -> dict[str, list[str]]:
    _, *pieces = _BLOCK.split(_resource("commands.sh"))
    return {name: body.splitlines() for name, body in zip(pieces[::2], pieces[1::2], strict=True)}


def _resource(name: str) -> str:
    return resources.files(__package__).joinpath("instructions", name).read_text("utf-8")
