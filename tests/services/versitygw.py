"""A real S3 gateway of the tests' own: versitygw on a free port of the loopback, in a folder of its own."""

from __future__ import annotations

import ctypes
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path

from storage.s3 import S3Client, S3Config
from storage.s3_buckets import make

JUDGES = Path(__file__).resolve().parents[2] / ".cache" / "judges"
NEWEST, SHORTENS = "versitygw", "versitygw-1.7.0"
_START_S = 30.0
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)


def installed(name: str) -> bool:
    """Tell whether a gateway can be started here."""
    return (JUDGES / name).is_file()


class Gateway:
    """One gateway.

    Attributes:
        folder: of its data, in `data/BUCKET/KEY`; older versions in `versions/`.
        endpoint: its address.
        access_key: of its administrator, who may do everything.
        secret_key: of the same.
        pid: of its process; 0 while it is stopped.
        options: of its command line beside the usual ones, from its next start on.
    """

    def __init__(self, name: str = NEWEST, tls: tuple[Path, Path] | None = None) -> None:
        """Make an empty one and start it.

        Args:
            name: which one.
            tls: its certificate with the chain, and its key; None: in clear.
        """
        self._tls = tls
        # In memory: what counts in tests is what the gateway does, not what a disk does.
        place = "/dev/shm" if _keeps_attributes(Path("/dev/shm")) else None
        self.folder = Path(tempfile.mkdtemp(prefix="probans-s3-", dir=place))
        for part in ("data", "versions", "iam"):
            (self.folder / part).mkdir()
        self.access_key, self.secret_key = "probans", secrets.token_hex(16)
        self._name = name
        self._buckets = 0
        self.pid = 0
        self.options: tuple[str, ...] = ()
        self.endpoint = ""
        self.start()

    def start(self) -> None:
        """Start it, at the address it had if it had one, and wait until it answers."""
        for attempt in range(3):
            port = self.endpoint.rpartition(":")[2] or str(_free_port())
            if self._started(port):
                self.endpoint = f"{'https' if self._tls else 'http'}://127.0.0.1:{port}"
                return
            assert attempt < 2, (self.folder / "log").read_text()[-2000:]

    def _started(self, port: str) -> bool:
        keys = {"ROOT_ACCESS_KEY_ID": self.access_key, "ROOT_SECRET_ACCESS_KEY": self.secret_key}
        options = [
            "--port",
            f"127.0.0.1:{port}",
            "--health",
            "/health",
            "--iam-dir",
            str(self.folder / "iam"),
        ]
        if self._tls is not None:
            options += ["--cert", str(self._tls[0]), "--key", str(self._tls[1])]
        backend = ["posix", "--versioning-dir", str(self.folder / "versions"), str(self.folder / "data")]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [JUDGES / self._name, *options, *self.options, "--keep-alive", "--quiet", *backend],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **keys},
                preexec_fn=_die_with_parent,  # noqa: PLW1509 - it only makes a system call
            )
        self.pid = self._process.pid
        deadline = time.monotonic() + _START_S
        while self._process.poll() is None and time.monotonic() < deadline:
            try:
                if self._answers(port):
                    return True
            except OSError:
                time.sleep(0.02)
        self.stop()
        return False

    def _answers(self, port: str) -> bool:
        if self._tls is not None:
            with socket.create_connection(("127.0.0.1", int(port)), timeout=1):
                return True
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1):
            return True

    def stop(self) -> None:
        """End it at once, by its pid."""
        if self.pid:
            self._process.kill()
            self._process.wait(_START_S)
            self.pid = 0

    def pause(self) -> None:
        """Stop it where it is (SIGSTOP)."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        os.kill(self.pid, signal.SIGCONT)

    def remove(self) -> None:
        """End it and remove its folder."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def config(self, seconds: float = 30.0) -> S3Config:
        """Return how its administrator reaches it."""
        return S3Config(self.endpoint, self.access_key, self.secret_key, seconds=seconds)

    def client(self, seconds: float = 30.0) -> S3Client:
        """Return its administrator's client."""
        return S3Client(self.config(seconds))

    def bucket(self, *, locked: bool) -> str:
        """Make a bucket of a new name."""
        self._buckets += 1
        name = f"{'locked' if locked else 'plain'}-{self._buckets}"
        make(self.client(), name, locked=locked)
        return name


def _keeps_attributes(folder: Path) -> bool:
    try:
        with tempfile.NamedTemporaryFile(dir=folder) as file:
            os.setxattr(file.name, "user.probans", b"1")
    except OSError:
        return False
    return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _die_with_parent() -> None:
    """A run that is killed leaves no gateway behind."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
