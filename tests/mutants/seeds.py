"""Genuine files, and all that is needed to ask about them: what mutants are made from."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache

from cryptography import x509

from signing.trust import TrustStore
from tests.interop.foreign.corpus import DATA, rows

_AT = datetime(2026, 6, 1, 12, tzinfo=UTC)
_LARGEST = 200_000  # octets; larger ones cost too much time


@dataclass(frozen=True)
class Seed:
    """A file that is PASSED as it is.

    Attributes:
        name: of the file.
        data: its octets.
        over: contents of the files it is about.
        digests: (algorithm, value) of further ones.
        trust: anchors.
        at: control time.
    """

    name: str
    data: bytes
    over: tuple[bytes, ...]
    digests: tuple[tuple[str, bytes], ...]
    trust: TrustStore
    at: datetime

    @property
    def kind(self) -> str:
        if self.data.startswith(b"%PDF"):
            return "pdf"
        return "zip" if self.data.startswith(b"PK") else "der"


@cache
def seeds() -> tuple[Seed, ...]:
    """Return those of other makers (tests/data/verdicts.tsv) and our own (tests/data/seeds)."""
    found = [
        Seed(
            row.file,
            row.path.read_bytes(),
            tuple(_content(item) for item in row.over.split() if not item.startswith("sha256:")),
            tuple(row.digests),
            TrustStore(row.trust()),
            row.time or _AT,
        )
        for row in rows()
        if row.trusted == "PASSED" and row.path.stat().st_size <= _LARGEST
    ]
    folder = DATA / "seeds"
    with (folder / "seeds.tsv").open(encoding="utf-8", newline="") as file:
        entries = list(csv.DictReader(file, delimiter="\t"))
    roots = {
        name: TrustStore(x509.load_pem_x509_certificates((folder / name).read_bytes()))
        for name in {entry["root"] for entry in entries}
    }
    for entry in entries:
        over = tuple((folder / name).read_bytes() for name in entry["over"].split())
        data = (folder / entry["file"]).read_bytes()
        at = datetime.fromisoformat(entry["at"]).replace(tzinfo=UTC)
        found.append(Seed(entry["file"], data, over, (), roots[entry["root"]], at))
    return tuple(found)


def _content(item: str) -> bytes:
    kind, _, value = item.partition(":")
    if kind == "text":
        return value.encode()
    return bytes.fromhex(value) if kind == "hex" else (DATA / value).read_bytes()
