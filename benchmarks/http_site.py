"""What the benchmark over HTTP measures: a serving process with its load, and a process that issues without HTTP."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from joserfc import jwt
from joserfc.jwk import ECKey

from benchmarks.path_worker import ALGORITHMS
from benchmarks.processes import demand_documents, line_of
from benchmarks.processor import taken
from benchmarks.seal_bench import ONE_PAGE
from vault.bootstrap import open_parts
from vault.people.system_keys import read_keys
from vault.people.system_registry import SystemRegistry
from vault.settings import Settings

ROOT = Path(__file__).resolve().parents[1]
CLIENT = ROOT / ".cache" / "judges" / "load-client"
_ADMINISTRATION = "mairie-specimen"
_DOCUMENT = {
    "holder": "camille",
    "title": "Attestation",
    "file_name": "attestation.pdf",
    "document_type": "attestation",
}


@dataclass(frozen=True)
class Measured:
    """What was done in a time.

    Attributes:
        count: documents or requests.
        rate: of them in a second.
        cpu: processor seconds of the process and those below it.
        client: of who asked, where that is another process.
        median: seconds that one takes.
        p99: of 99 in 100 at most.
    """

    count: int
    rate: float
    cpu: float
    client: float
    median: float
    p99: float

    @property
    def each(self) -> float:
        """Milliseconds of the processor that one takes."""
        return self.cpu / self.count * 1000


class _Process:
    """A process with a safe of its own in a folder."""

    def __init__(self, folder: Path, *command: str) -> None:
        folder.mkdir()
        self.data = folder / "data"
        self.counted = 0
        with (folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", *command],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the process; a second call does nothing."""
        if self._process.returncode is None:
            self._end()
            self._process.communicate(timeout=60)

    def check(self) -> None:
        """Close the safe, and look whether it holds what was counted and nothing else."""
        self.__exit__(None, None, None)
        demand_documents(self.data, self.counted)

    def _end(self) -> None:
        """Tell the process to end; `communicate` closes its standard input."""

    def _line(self) -> str:
        return line_of(self._process, self.data.parent / "log")


class InProcess(_Process):
    """A process that issues without HTTP: `benchmarks.path_worker`."""

    def __init__(self, folder: Path, key: str) -> None:
        """Open a safe, and issue one document."""
        super().__init__(folder, "benchmarks.path_worker", str(folder / "data"), key)
        self._line()
        self.counted = 1

    def issue(self, threads: int, group: int, seconds: float) -> Measured:
        """Issue for a time from so many threads, so many documents together in each."""
        asked = {"what": "issue", "threads": threads, "group": group, "seconds": seconds, "steps": False}
        assert self._process.stdin is not None
        before = taken(self._process.pid)
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        found = json.loads(self._line())
        cpu = taken(self._process.pid) - before
        self.counted += found["count"]
        return Measured(found["count"], found["rate"], cpu, 0.0, found["median"], found["p99"])


class Site(_Process):
    """A serving process, and a business software that is registered there."""

    def __init__(self, folder: Path, key: str, what: str) -> None:
        """Start serving.

        Args:
            folder: to be made.
            key: kind of the seal key.
            what: see `benchmarks.http_server`.
        """
        super().__init__(folder, "benchmarks.http_server", str(folder / "data"), key, what)
        self._address = self._line().split("http://")[1].strip()
        self._issues = what == "issue"
        self._key = ECKey.generate_key("P-256")
        self._client_id = self._registered(key)

    def load(self, connections: int, seconds: float) -> Measured:
        """Have acts issued for a time over so many connections."""
        asked = {
            "address": self._address,
            "path": "/v1/acts",
            "headers": {"Authorization": f"Bearer {self._token()}", "Accept": "application/json"},
            "document": json.dumps(_DOCUMENT),
            "file": str(ONE_PAGE),
            "connections": connections,
            "seconds": seconds,
            "keys": secrets.token_hex(7) + "-",
            "expected": 201,
        }
        before = taken(self._process.pid)
        done = subprocess.run([CLIENT], input=json.dumps(asked), capture_output=True, text=True, check=False)
        cpu = taken(self._process.pid) - before
        if done.returncode:
            raise RuntimeError(f"the load client: {done.stderr}")
        found = json.loads(done.stdout)
        self.counted += found["requests"] if self._issues else 0
        return Measured(
            found["requests"],
            found["per_second"],
            cpu,
            found["cpu_s"],
            found["p50_ms"] / 1000,
            found["p99_ms"] / 1000,
        )

    def _end(self) -> None:
        self._process.terminate()

    def _registered(self, key: str) -> str:
        parts = open_parts(Settings(data=self.data, seal_algorithm=ALGORITHMS[key]))
        try:
            registry = SystemRegistry(parts.database, parts.records, parts.clock)
            system = registry.add(
                administration_id=_ADMINISTRATION,
                service="etat-civil",
                name="Benchmark",
                scopes=["acts:issue"],
                keys=read_keys(self._key.as_pem(private=False)),
            )
        finally:
            parts.close()
        return system.client_id

    def _token(self) -> str:
        """Get an access token as a business software does; it counts for ten minutes."""
        now, base = int(time.time()), f"http://{self._address}"
        claims: dict[str, Any] = {
            "iss": self._client_id,
            "sub": self._client_id,
            "aud": base,
            "iat": now,
            "exp": now + 60,
            "jti": secrets.token_hex(8),
        }
        form = {
            "grant_type": "client_credentials",
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "client_assertion": jwt.encode({"alg": "ES256"}, claims, self._key),
        }
        with urllib.request.urlopen(f"{base}/v1/token", urllib.parse.urlencode(form).encode()) as answer:
            return str(json.load(answer)["access_token"])
