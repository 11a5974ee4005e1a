"""A mandate for some types of document shows nothing of the others: in no list, and by no identifier."""

from __future__ import annotations

from sqlalchemy import select

from vault.db import models


def newest_line(world, document: str) -> int:
    table = models.document_entries
    with world.vault.parts.database.reading() as connection:
        query = select(table.c.seq).where(table.c.document_id == document, table.c.chain == "access")
        return max(connection.scalars(query))


def test_reports_about_other_types_are_neither_listed_nor_shown(world, refused):
    document, reports = world.issue(), world.people.journal.reports
    world.read(document, world.registrar)
    report = reports.open(world.camille, newest_line(world, document), "Pourquoi ?", world.key()).document_id
    for types, seen in (((), True), (("acte-de-naissance",), True), (("bulletin-de-paie",), False)):
        mandatary = world.mandate(document_types=types)
        assert (report in {each.matter.id for each in reports.all(mandatary, None, 50)}) is seen
        if not seen:
            assert refused(lambda: reports.see(mandatary, report)) == "NOT_FOUND"  # noqa: B023
