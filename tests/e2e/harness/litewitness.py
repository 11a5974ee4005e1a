"""The real litewitness, a witness that we did not write, with its SSH agent and its database."""

from __future__ import annotations

import os
import shutil
import socket
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import requests

from vault.ledger.keys import LedgerKeys
from vault.ledger.vkeys import VerifierKey

PROGRAM = Path(__file__).resolve().parents[3] / ".cache" / "judges" / "litewitness"
_START_SECONDS = 20.0


class Litewitness:
    """Killed and started again on one port and one database; it knows Ed25519 keys of logs only.

    Attributes:
        url: its submission prefix.
        folder: its own.
    """

    def __init__(self, *logs: LedgerKeys) -> None:
        """Make its key, tell it of logs, start it."""
        # An SSH agent's address has to be short.
        self.folder = Path(tempfile.mkdtemp(prefix="lw-", dir="/tmp"))
        folder = self.folder
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / "key"], check=True, timeout=30
        )
        shown = subprocess.run(
            ["ssh-keygen", "-l", "-f", folder / "key"], check=True, capture_output=True, text=True, timeout=30
        )
        self._fingerprint = shown.stdout.split()[1]
        self._agent = subprocess.Popen(
            ["ssh-agent", "-D", "-a", folder / "agent"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        environment = {**os.environ, "SSH_AUTH_SOCK": str(folder / "agent")}
        add = ["ssh-add", "-q", str(folder / "key")]
        # Its address is there a moment before it listens.
        self._until(
            lambda: (
                subprocess.run(add, env=environment, capture_output=True, timeout=30, check=False).returncode
                == 0
            )
        )
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.url = f"http://127.0.0.1:{probe.getsockname()[1]}"
        self.up()
        connection = sqlite3.connect(folder / "w.db", timeout=10)
        with connection:
            for log in logs:
                connection.execute(
                    "INSERT INTO log (origin, tree_size, tree_hash)"
                    " VALUES (?, 0, '47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=')",
                    (log.origin,),
                )
                connection.execute("INSERT INTO key (origin, key) VALUES (?, ?)", (log.origin, log.vkeys[0]))
        connection.close()

    def up(self) -> None:
        """Start it and wait until it answers."""
        self._log = (self.folder / "log").open("ab")
        command = [PROGRAM, "-name", "lite.example/w1", "-db", self.folder / "w.db"]
        command += ["-ssh-agent", self.folder / "agent", "-key", self._fingerprint]
        self._process = subprocess.Popen(
            [*command, "-listen", self.url.removeprefix("http://")], stderr=self._log, stdout=self._log
        )
        self._until(self._answers)

    def kill(self) -> None:
        """Kill it at once."""
        self._process.kill()
        self._process.wait(30)
        self._log.close()

    def close(self) -> None:
        """End it and its agent, and remove its folder."""
        self.kill()
        self._agent.terminate()
        self._agent.wait(30)
        shutil.rmtree(self.folder)

    @property
    def vkey(self) -> VerifierKey:
        """Its public key, as it says itself."""
        text = (self.folder / "log").read_text()
        return VerifierKey.parse(text.split("vkey=", 1)[1].split()[0].strip('"'))

    def _answers(self) -> bool:
        assert self._process.poll() is None, (self.folder / "log").read_text()
        try:
            return requests.get(self.url, timeout=5).status_code == 200
        except requests.ConnectionError:
            return False

    @staticmethod
    def _until(holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while not holds():
            assert time.monotonic() < deadline, "litewitness does not start"
            time.sleep(0.02)
