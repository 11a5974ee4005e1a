"""Runs schema changes on the connection and within the transaction that `Database.migrate` opened."""

from __future__ import annotations

from alembic import context

from vault.db.models import metadata

# Batches: SQLite changes a table by copying it.
context.configure(
    connection=context.config.attributes["connection"], target_metadata=metadata, render_as_batch=True
)
context.run_migrations()
