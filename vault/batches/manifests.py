"""The manifest of a batch: one line for each act, NDJSON or CSV, read line by line and checked without any file.

What cannot be read at all refuses the manifest; what one line says wrongly is that line's own result, so that all of
them are told at once. Whether a holder has a safe is not told here: who learns that has left a document there.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import BinaryIO, NoReturn

import orjson

from vault.domain.documents import NewDocument
from vault.errors import Refused
from vault.files.fields import check_description
from vault.files.names import clean_file_name

FORMS: Mapping[str, str] = {
    "application/x-ndjson": "ndjson",
    "application/jsonl": "ndjson",
    "text/csv": "csv",
}
REQUIRED = ("holder", "title", "file")
FIELDS = (*REQUIRED, "type", "case", "language", "retention", "sha256")
MAX_LINE = 8192  # octets
MAX_RETENTION_DAYS = 146_097  # 400 years, as the service's own
_SHA256 = re.compile(r"[0-9a-fA-F]{64}|")
_DAYS = re.compile(r"[0-9]{1,6}|")
_UNREADABLE = (ValueError, RecursionError)
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a manifest, or why it is none.

    Attributes:
        number: from 1; the head of a CSV and empty lines do not count.
        said: its fields, absent ones empty; None where it is wrong.
        code: why it is wrong, or "".
        field: the field that is wrong, or "".
    """

    number: int
    said: Mapping[str, str] | None
    code: str = ""
    field: str = ""

    @property
    def content(self) -> bytes:
        """The fields as octets, the same for every form of manifest."""
        return orjson.dumps(dict(self.said or {}), option=orjson.OPT_SORT_KEYS)


def read_manifest(stream: BinaryIO, form: str, *, limit: int, least_days: int) -> Iterator[Line]:
    """Yield the lines of a manifest; memory is one line.

    Args:
        stream: the manifest, at its start.
        form: `csv` or `ndjson`.
        limit: lines at most.
        least_days: the service's own retention; a line may ask for more, not for less.

    Raises:
        Refused: MANIFEST_INVALID (with `line`, `problem`), MANIFEST_EMPTY, MANIFEST_TOO_LONG (limit).
    """
    number = 0
    for said in _csv(stream) if form == "csv" else _ndjson(stream):
        number += 1
        if number > limit:
            raise Refused("MANIFEST_TOO_LONG", limit=limit)
        yield _checked(number, said, least_days)
    if not number:
        raise Refused("MANIFEST_EMPTY")


def document_of(content: bytes) -> tuple[NewDocument, bytes | None]:
    """Return what a kept line says of its file, and the digest it states (32 octets) or None."""
    said: dict[str, str] = orjson.loads(content)
    stated = bytes.fromhex(said["sha256"]) if said["sha256"] else None
    return _document(said), stated


def line_key(scope: bytes, number: int, content: bytes) -> str:
    """Return the idempotency key of a line: the same line of a batch brought again is the same act."""
    digest = sha256(b"probans/batch-line/v1\n" + scope + number.to_bytes(8, "big") + sha256(content).digest())
    return f"batch-{digest.hexdigest()}"


def _document(said: Mapping[str, str]) -> NewDocument:
    return NewDocument(
        holder=said["holder"],
        title=said["title"],
        file_name=said["file"],
        document_type=said["type"],
        case=said["case"],
        language=said["language"],
        retention_days=int(said["retention"] or 0),
    )


def _checked(number: int, said: Mapping[str, str] | Refused, least_days: int) -> Line:
    if isinstance(said, Refused):
        return _wrong(number, said)
    try:
        return Line(number, _whole(said, least_days))
    except Refused as error:
        return _wrong(number, error)


def _wrong(number: int, error: Refused) -> Line:
    return Line(number, None, error.code, _shown(error.params.get("field", "")))


def _whole(said: Mapping[str, str], least_days: int) -> Mapping[str, str]:
    """Return the fields of a line, each of them checked. Raises Refused."""
    unknown = sorted(set(said) - set(FIELDS))
    if unknown:
        raise Refused("FIELD_INVALID", "no such field", field=unknown[0])
    whole = {name: said.get(name, "") for name in FIELDS}
    if not _DAYS.fullmatch(whole["retention"]):
        raise Refused("FIELD_INVALID", "a number of days", field="retention")
    if not least_days <= int(whole["retention"] or least_days) <= MAX_RETENTION_DAYS:
        raise Refused("FIELD_INVALID", f"at least {least_days} days", field="retention")
    if not _SHA256.fullmatch(whole["sha256"]):
        raise Refused("FIELD_INVALID", "64 hexadecimal digits", field="sha256")
    check_description(_document(whole))
    # The name of the file comes last, and in the one form in which it is looked for.
    return {**whole, "file": clean_file_name(whole["file"])}


def _shown(field: object) -> str:
    """Return the name of a field as it may stand in rows and reports: one of ours, whatever was sent."""
    ours = {"document_type": "type", "file_name": "file"}.get(str(field), str(field))
    return ours if ours in FIELDS or not ours else "?"


def _ndjson(stream: BinaryIO) -> Iterator[Mapping[str, str] | Refused]:
    for number, octets in _lines(stream):
        if not octets.strip():
            continue
        try:
            value = json.loads(octets.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant)
        except UnicodeDecodeError:
            yield Refused("ENCODING_INVALID")
            continue
        except Refused as error:
            yield error
            continue
        except _UNREADABLE:
            yield Refused("JSON_INVALID")
            continue
        if not isinstance(value, dict):
            raise Refused("MANIFEST_INVALID", line=number, problem="not a JSON object")
        yield _texts(value)


def _texts(value: Mapping[str, object]) -> Mapping[str, str] | Refused:
    said = {}
    for name, each in value.items():
        whole = isinstance(each, int) and not isinstance(each, bool) and name == "retention"
        if not isinstance(each, str) and not whole and each is not None:
            return Refused("FIELD_INVALID", "a text is expected", field=name)
        text = "" if each is None else str(each)
        if any(0xD800 <= ord(character) <= 0xDFFF for character in text):
            return Refused("ENCODING_INVALID")
        said[name] = text
    return said


def _csv(stream: BinaryIO) -> Iterator[Mapping[str, str] | Refused]:
    source = _lines(stream)
    head = next(source, None)
    if head is None:
        return
    number, first = head
    try:
        text = first.removeprefix(_BOM).decode("utf-8")
        # Spreadsheets of several countries separate by semicolons, the comma being theirs for decimals.
        delimiter = ";" if ";" in text else ","
        names = next(csv.reader([text], delimiter=delimiter, strict=True), [])
    except (UnicodeDecodeError, csv.Error) as error:
        raise Refused("MANIFEST_INVALID", line=number, problem=_problem(error)) from None
    names = [name.strip().lower() for name in names]
    unknown = [name for name in names if name not in FIELDS]
    missing = [name for name in REQUIRED if name not in names]
    if unknown or missing or len(set(names)) != len(names):
        problem = f"columns: {', '.join(REQUIRED)} are needed; {', '.join(FIELDS[3:])} may stand; none twice"
        raise Refused("MANIFEST_INVALID", line=number, problem=problem)
    decoded = _Decoded(source, number)
    rows = csv.reader(decoded, delimiter=delimiter, strict=True)
    while True:
        try:
            row = next(rows, None)
        except (UnicodeDecodeError, csv.Error) as error:
            raise Refused("MANIFEST_INVALID", line=decoded.number, problem=_problem(error)) from None
        if row is None:
            return
        if len(row) == len(names):
            yield {name: _uncalculated(cell) for name, cell in zip(names, row, strict=True)}
        elif any(cell.strip() for cell in row):
            yield Refused("MANIFEST_COLUMNS", field="")


def _uncalculated(cell: str) -> str:
    """Return a cell without the sign by which spreadsheets keep it from being taken for a formula."""
    return cell[1:] if cell[:1] == "'" and cell[1:2] in {"=", "+", "-", "@"} else cell


class _Decoded:
    """Lines as text, with the number of the last one; a field over several lines is held within bounds."""

    def __init__(self, source: Iterator[tuple[int, bytes]], number: int) -> None:
        self._source = source
        self.number = number

    def __iter__(self) -> _Decoded:
        return self

    def __next__(self) -> str:
        self.number, octets = next(self._source)
        return octets.decode("utf-8")


def _lines(stream: BinaryIO) -> Iterator[tuple[int, bytes]]:
    number = 0
    while octets := stream.readline(MAX_LINE + 1):
        number += 1
        if len(octets) > MAX_LINE:
            raise Refused("MANIFEST_INVALID", line=number, problem=f"longer than {MAX_LINE} octets")
        if b"\0" in octets:
            raise Refused("MANIFEST_INVALID", line=number, problem="a null octet")
        yield number, octets


def _problem(error: Exception) -> str:
    return "not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise Refused("JSON_DUPLICATE_KEY")
    return members


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)
