"""How background work goes, for processes that do not do it. Nothing here decides what is done."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Integer, String, Table, Text

from vault.db.base import BigKey, metadata

task_runs = Table(
    "task_runs",
    metadata,
    Column("name", String(40), primary_key=True),
    Column("succeeded_at", String(24), comment="null before the first run that went well"),
    Column("failed_at", String(24), comment="when it was first seen to fail since; null when it does not"),
    Column("code", String(40), nullable=False, comment="of that failure"),
    Column("done", BigInteger, nullable=False, comment="things done, as the task counts them"),
    comment="Each task of the workers, as it went lately. Lost with the database, nobody misses them.",
)

scrub_rounds = Table(
    "scrub_rounds",
    metadata,
    Column("id", BigKey, primary_key=True, autoincrement=True),
    Column("begun_at", String(24), nullable=False),
    Column("ended_at", String(24), comment="null while it goes on"),
    Column("cursor", String(72), nullable=False, comment="where the next step goes on"),
    Column("checked", BigInteger, nullable=False, comment="objects read so far"),
    Column("octets", BigInteger, nullable=False, comment="of them"),
    Column("problems", Integer, nullable=False, comment="found so far"),
    Column("undecided", Integer, nullable=False, comment="of them, those that another look may clear up"),
    Column("repaired", Integer, nullable=False, comment="made good from the other store"),
    Column("found", Text, nullable=False, comment="codes and addresses of the first problems, JSON"),
    comment="Readings of the whole store, the newest ones. Lost with the database, nobody misses them.",
)
