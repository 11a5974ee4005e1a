"""The service as a process of its own, started, killed and started again on one data folder."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

START_SECONDS = 60.0


class Server:
    """One run of the service.

    Attributes:
        host, port: where it answers.
        tokens: bearer tokens by persona.
        log: file that holds all it printed.
    """

    def __init__(self, data: Path, workers: int = 1, settings: Mapping[str, object] | None = None) -> None:
        """Start it and wait until it answers.

        Args:
            data: data folder.
            workers: processes.
            settings: environment without its prefix, such as {"TSA_URL": "…"}.
        """
        self.log = data.parent / "server.log"
        self._process = _launch(data, self.log, settings or {}, str(workers))
        self._lines: list[str] = []
        self._ready = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        if not self._ready.wait(START_SECONDS) or not self._lines:
            self.stop()
            raise AssertionError(f"the server did not start: {self.log.read_text()[-2000:]}")
        found = re.fullmatch(r"Probans: http://([\d.]+):(\d+)", self._lines[0])
        assert found is not None, self._lines
        self.host, self.port = found[1], int(found[2])
        keys = Path(str((settings or {}).get("KEYS", data / "keys")))
        self.tokens = json.loads((keys / "personas.json").read_bytes())

    @property
    def pid(self) -> int:
        """The process, or the parent of the workers."""
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether it runs."""
        return self._process.poll() is None

    @property
    def killed_at(self) -> str | None:
        """The point at which the trap killed it, or None."""
        return next((line[10:] for line in self._lines if line.startswith("killed at ")), None)

    def kill(self) -> None:
        """Kill it at once."""
        self._process.send_signal(signal.SIGKILL)

    def wait(self, seconds: float) -> int:
        """Wait for its end; return the exit code, negative for a signal."""
        code = self._process.wait(seconds)
        self._reader.join(10)
        return code

    def stop(self) -> None:
        """Stop it as an operator does."""
        if self.is_alive:
            self._process.terminate()
        try:
            self._process.wait(40)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise
        self._reader.join(10)

    def processes(self) -> list[int]:
        """Return the process and all below it."""
        parents = {}
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit():
                with suppress(OSError):
                    parents[int(folder.name)] = int(
                        (folder / "stat").read_text().rpartition(")")[2].split()[1]
                    )
        found = [self.pid]
        for process in found:
            found += [child for child, parent in parents.items() if parent == process]
        return found

    def memory(self, field: str) -> int:
        """Return the sum over all processes of `VmHWM` (peak) or `Pss` (now, shared pages once), in octets."""
        file = "smaps_rollup" if field == "Pss" else "status"
        total = 0
        for process in self.processes():
            text = Path(f"/proc/{process}/{file}").read_text()
            total += int(text.partition(f"{field}:")[2].split()[0]) * 1024
        return total

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines, self.log.open("ab") as log:
            for line in lines:
                log.write(line)
                self._lines.append(line.decode().rstrip("\n"))
                self._ready.set()
        self._ready.set()


def _launch(
    data: Path, log: Path, settings: Mapping[str, object], *arguments: str
) -> subprocess.Popen[bytes]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PROBANS_")}
    environment |= {f"PROBANS_{key}": str(value) for key, value in settings.items()}
    with log.open("ab") as errors:
        return subprocess.Popen(
            [sys.executable, "-m", "tests.e2e.harness.launcher", str(data), *arguments],
            stdout=subprocess.PIPE,
            stderr=errors,
            env=environment,
            cwd=Path(__file__).resolve().parents[3],
        )


def killed_start(
    data: Path, *trap: str, after: float = START_SECONDS, settings: Mapping[str, object] | None = None
) -> str:
    """Start a server that is killed while it starts, by a trap or after some seconds; return its output."""
    process = _launch(data, data.parent / "server.log", settings or {}, "1", *trap)
    with suppress(subprocess.TimeoutExpired):
        process.wait(after)
    process.kill()
    output, _ = process.communicate()
    assert process.returncode == -signal.SIGKILL, output
    return output.decode()


@contextmanager
def serving(data: Path, workers: int = 1, settings: Mapping[str, object] | None = None) -> Iterator[Server]:
    """Run a server for the block."""
    server = Server(data, workers, settings)
    try:
        yield server
    finally:
        server.stop()
