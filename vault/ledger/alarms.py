"""Alarms of witnesses as the database keeps them: they outlive the process, and every process sees them."""

from __future__ import annotations

from sqlalchemy import Connection

from vault.ledger.witness_client import WitnessFork


def keep_alarm(connection: Connection, alarm: WitnessFork, now: str) -> None:
    """Write an alarm; an older one of the same witness is replaced."""
    clear_alarm(connection, alarm.url)
    connection.exec_driver_sql(
        "INSERT INTO witness_alarms (witness, our_size, our_root, their_size, not_root, raised_at)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        (alarm.url, alarm.ours[0], alarm.ours[1], alarm.theirs, alarm.not_root, now),
    )


def clear_alarm(connection: Connection, url: str) -> None:
    """Remove the alarm of a witness."""
    connection.exec_driver_sql("DELETE FROM witness_alarms WHERE witness = ?", (url,))


def standing_alarms(connection: Connection) -> list[WitnessFork]:
    """Return the alarms that stand, the oldest first."""
    rows = connection.exec_driver_sql(
        "SELECT witness, our_size, our_root, their_size, not_root FROM witness_alarms ORDER BY raised_at, witness"
    )
    return [
        WitnessFork(url, (size, bytes(root)), theirs, None if not_root is None else bytes(not_root))
        for url, size, root, theirs, not_root in rows
    ]
