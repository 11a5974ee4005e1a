"""What docs/systems.md says to do works, word for word, against a real server."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from vault.cli.main import build

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "systems.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


def words(command: str) -> Iterator[str]:
    """The words of a documented command behind `probans`."""
    (line,) = [line for block in blocks("sh") for line in block.splitlines() if line.startswith(command)]
    return iter(shlex.split(line)[1:])


@pytest.mark.needs("openssl")
def test_the_documented_way_to_a_token(start, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    subprocess.run(["sh", "-ec", blocks("sh")[0]], check=True, capture_output=True)
    server = start()
    added = [str(server.data) if word == "demo/data" else word for word in words("probans systems add")]
    done = CliRunner().invoke(build(("systems",)), added)
    assert done.exit_code == 0, done.output
    client_id = done.output.strip()

    def program(client: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", blocks("python")[0], server.url, client, "software.pem"]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    told = program(client_id)
    assert re.fullmatch(r"agt_[0-9a-hjkmnp-tv-z]{26}\n", told.stdout), told.stderr
    assert "HTTP Error 401" in program("sys_00000000000000000000000000").stderr
    assert "invalid_client" not in server.errors.read_text()
    assert "no token: unknown client" in server.errors.read_text()
