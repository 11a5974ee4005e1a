"""Files of other makers in tests/data and the verdict that each deserves (tests/data/verdicts.tsv).

python -m tests.interop.foreign.corpus: writes the table of docs/interop.md anew.
"""

from __future__ import annotations

import csv
import io
import re
import sys
import warnings
import zipfile
import zlib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509

REPOSITORY = Path(__file__).resolve().parents[3]
DATA = REPOSITORY / "tests" / "data"
PAGE = REPOSITORY / "docs" / "interop.md"
BEGIN, END = "<!-- verdicts: begin -->", "<!-- verdicts: end -->"
FAMILIES = ("asic", "ers", "pdf-signed", "tst")
_NO_FILES = {".md", ".tsv"}
_INFLATED = 4_000_000


@dataclass(frozen=True)
class Row:
    """What one file must get.

    Attributes:
        file: below tests/data.
        anchors: "own": the file's own top certificates; else those whose subject holds this text.
        at: day to judge at, "" meaning now.
        over: originals, as `text:`, `hex:`, `file:` or `sha256:`, separated by spaces.
        unknown: verdict when nobody is trusted, and its main reason.
        trusted: verdict with the anchors, and its main reason ("" for none).
        level: of the first signature, with the anchors.
        why: in words.
    """

    file: str
    anchors: str
    at: str
    over: str
    unknown: str
    unknown_code: str
    trusted: str
    trusted_code: str
    level: str
    why: str

    @property
    def path(self) -> Path:
        return DATA / self.file

    @property
    def time(self) -> datetime | None:
        return datetime.fromisoformat(self.at).replace(tzinfo=UTC) if self.at else None

    def originals(self, folder: Path) -> list[Path]:
        """Write the originals into a folder."""
        made = []
        for number, item in enumerate(self.over.split()):
            kind, _, value = item.partition(":")
            if kind == "sha256":
                continue
            path = folder / f"original-{number}"
            path.write_bytes(
                {
                    "text": lambda text: text.encode(),
                    "hex": bytes.fromhex,
                    "file": lambda name: (DATA / name).read_bytes(),
                }[kind](value)
            )
            made.append(path)
        return made

    @property
    def digests(self) -> list[tuple[str, bytes]]:
        parts = (item.partition(":") for item in self.over.split())
        return [(kind, bytes.fromhex(value)) for kind, _, value in parts if kind == "sha256"]

    def trust(self) -> list[x509.Certificate]:
        found = certificates(self.path.read_bytes())
        if self.anchors == "own":
            return tops(found)
        return [item for item in found if self.anchors in item.subject.rfc4514_string()]


def rows() -> list[Row]:
    """Read the expectations."""
    with (DATA / "verdicts.tsv").open(encoding="utf-8", newline="") as file:
        return [Row(**row) for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)]


def files() -> set[str]:
    """Return every file of the corpus."""
    return {
        f"{family}/{path.name}"
        for family in FAMILIES
        for path in (DATA / family).iterdir()
        if path.suffix not in _NO_FILES
    }


def certificates(data: bytes) -> list[x509.Certificate]:
    """Find every certificate anywhere in a file: in its octets, hex strings, streams and members."""
    parts = [data]
    parts += [
        bytes.fromhex(found[1].decode()) for found in re.finditer(rb"<((?:[0-9A-Fa-f]{2}){100,})>", data)
    ]
    for found in re.finditer(rb"stream\r?\n", data):
        try:
            parts.append(zlib.decompressobj().decompress(data[found.end() :], _INFLATED))
        except zlib.error:
            continue
    if data.startswith(b"PK"):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            parts += [archive.read(name) for name in archive.namelist()]
    return list(dict.fromkeys(item for part in parts for item in _inside(part)))


def tops(found: list[x509.Certificate]) -> list[x509.Certificate]:
    """Return those that no other one issued."""
    names = {item.subject for item in found}
    return [item for item in found if item.issuer == item.subject or item.issuer not in names]


def _inside(data: bytes) -> list[x509.Certificate]:
    found = []
    position = data.find(b"\x30\x82")
    while position >= 0:
        size = int.from_bytes(data[position + 2 : position + 4], "big") + 4
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                item = x509.load_der_x509_certificate(data[position : position + size])
                if item.subject.rdns and item.extensions is not None:
                    found.append(item)
        except ValueError:
            pass
        position = data.find(b"\x30\x82", position + 1)
    return found


def table() -> str:
    """Return the table of docs/interop.md."""
    lines = [
        "| file | nobody trusted | its own roots trusted | proven level | why |",
        "|---|---|---|---|---|",
    ]
    for row in rows():
        given = [] if row.anchors == "own" else [f'trusted: "{row.anchors}"']
        given += [f"at {row.at}"] if row.at else []
        given += [f"over {_short(row.over)}"] if row.over else []
        aside = f" ({', '.join(given)})" if given else ""
        unknown = f"{row.unknown} {row.unknown_code}".strip()
        trusted = f"{row.trusted} {row.trusted_code}".strip()
        lines.append(f"| {row.file}{aside} | {unknown} | {trusted} | {row.level} | {row.why} |")
    return "\n".join(lines)


def _short(over: str) -> str:
    return ", ".join(item if len(item) < 40 else f"{item[:15]}…" for item in over.split())


def main() -> int:
    """Write the table into the page."""
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    PAGE.write_text(f"{before}{BEGIN}\n{table()}\n{END}{after}", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
