"""What benchmarks ask of the processes they start, and of the safes these leave."""

from __future__ import annotations

import sqlite3
import subprocess
from pathlib import Path


def line_of(process: subprocess.Popen[str], log: Path | None = None) -> str:
    """Return the next line that a process prints. Raises RuntimeError when it ended, with the end of its log."""
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise RuntimeError(f"a process of the benchmark ended: {log.read_text()[-2000:] if log else ''}")
    return line


def demand_documents(data: Path, count: int) -> None:
    """Look whether the safe of a folder, closed by now, holds so many sealed documents. Raises AssertionError."""
    connection = sqlite3.connect(data / "probans.db")
    [(documents,)] = connection.execute("SELECT count(*) FROM documents WHERE sealing = 'sealed'")
    connection.close()
    if documents != count:
        raise AssertionError(f"{count} documents were issued, {documents} are there")
