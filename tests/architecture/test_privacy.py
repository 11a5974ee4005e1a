"""The data map of docs/privacy.md is whole: every table and column stands in it, in the class that its type allows."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest
from sqlalchemy import LargeBinary, Table

from vault.db.models import metadata
from vault.domain.documents import ObjectRole
from vault.domain.matters import MatterKind

ROOT = Path(__file__).resolve().parents[2]
SECTION = re.compile(r"^### `(\w+)` — (\w+)\n(.*?)(?=^##|\Z)", re.MULTILINE | re.DOTALL)
ROW = re.compile(r"^\| (\w+) \| (`.*`) \|$", re.MULTILINE)
CLASSES = {"sealed", "digests", "none"}
KINDS = {"sealed", "key", "digest", "identifier", "state", "public"}


@cache
def text() -> str:
    return (ROOT / "docs/privacy.md").read_text("utf-8")


@cache
def mapped() -> dict[str, tuple[str, dict[str, str]]]:
    """Table to (class, column to kind)."""
    found: dict[str, tuple[str, dict[str, str]]] = {}
    for name, kind, body in SECTION.findall(text()):
        assert name not in found, f"{name} stands twice"
        columns: dict[str, str] = {}
        for of, named in ROW.findall(body):
            for column in re.findall(r"`(\w+)`", named):
                assert column not in columns, f"{name}.{column} stands twice"
                columns[column] = of
        found[name] = (kind, columns)
    return found


def test_every_table_and_column_stands_in_the_map() -> None:
    """A new column without a line fails here: say what it is in docs/privacy.md."""
    there = {table.name: {column.name for column in table.c} for table in metadata.tables.values()}
    assert {name: set(columns) for name, (_, columns) in mapped().items()} == there


@pytest.mark.parametrize("table", metadata.sorted_tables, ids=lambda table: table.name)
def test_each_column_is_what_it_is_said_to_be(table: Table) -> None:
    kind, columns = mapped()[table.name]
    assert kind in CLASSES
    assert set(columns.values()) <= KINDS
    for column in table.c:
        said = columns[column.name]
        octets = isinstance(column.type, LargeBinary)
        # What people say is sealed, and what is sealed or digested is octets.
        assert octets or said in {"identifier", "state", "public"}, column
        assert (said == "digest") is column.name.endswith("_ix"), column
        assert (said == "key") is (column.name == "wrapped_key"), column
        if octets and said == "public":
            assert kind == "none" or (table.name, column.name) == ("system_tokens", "certificate"), column
    kinds = set(columns.values())
    if kind == "sealed":
        assert "sealed" in kinds
    elif kind == "digests":
        assert kinds.isdisjoint({"sealed", "key"})
    else:
        assert kinds <= {"public", "identifier"}


def test_every_sealed_or_digested_column_has_a_kind_of_data() -> None:
    """Where, under which key, why, how long: in the map by kind."""
    by_kind = text().split("## Data map: by kind")[1].split("## Data map: by table")[0]
    named = set(re.findall(r"`(\w+\.\w+)`", by_kind))
    held = {
        f"{table}.{column}"
        for table, (_, columns) in mapped().items()
        for column, kind in columns.items()
        if kind in {"sealed", "digest"}
    }
    assert named == held
    for row in re.findall(r"^\| (?!kind|---)(.*) \|$", by_kind, re.MULTILINE):
        cells = row.split(" | ")
        assert len(cells) == 5, row
        assert all(cell.strip() for cell in cells), row


def test_every_stored_role_and_kind_of_matter_is_named() -> None:
    for role in ObjectRole:
        assert f"`{role.value}`" in text(), role
    for kind in MatterKind:
        assert re.search(rf"\b{kind.value}", text()), kind
