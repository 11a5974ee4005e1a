"""SQL that the kinds of databases spell differently."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Boolean, ColumnElement
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import GenericFunction


class contains_octets(GenericFunction[bool]):  # noqa: N801 - it reads as the SQL function it stands for
    """True where the first octet string contains the second one."""

    type = Boolean()
    inherit_cache = True

    def __init__(self, whole: ColumnElement[bytes], part: bytes) -> None:
        super().__init__(whole, part)


@compiles(contains_octets, "sqlite")
def _sqlite(element: contains_octets, compiler: SQLCompiler, **options: Any) -> str:
    whole, part = (compiler.process(clause, **options) for clause in element.clauses)
    return f"(instr({whole}, {part}) > 0)"


@compiles(contains_octets, "postgresql")
def _postgresql(element: contains_octets, compiler: SQLCompiler, **options: Any) -> str:
    whole, part = (compiler.process(clause, **options) for clause in element.clauses)
    return f"(position({part} in {whole}) > 0)"
