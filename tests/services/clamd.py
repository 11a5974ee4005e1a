"""A real clamd of the tests' own: unprivileged, on the loopback interface, with signatures made here."""

from __future__ import annotations

import ctypes
import hashlib
import io
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tarfile
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

EICAR = rb"X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR" + b"-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
HARMLESS = b"probans-test-signature-one"
LATER = b"probans-test-signature-two"
_START_S = 60.0
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)


def installed() -> bool:
    """Tell whether clamd is here; Debian keeps it out of the path of users."""
    return _program() is not None and (os.geteuid() != 0 or _other_user() is not None)


class Daemon:
    """One clamd.

    Attributes:
        folder: of its configuration, signatures, log and socket.
        pid: 0 while it is stopped.
        port: where it listens on 127.0.0.1.
    """

    def __init__(self, *options: str) -> None:
        """Make a configuration and start it.

        Args:
            options: lines of clamd.conf beside the usual ones.
        """
        self.folder = Path(tempfile.mkdtemp(prefix="probans-clamd-"))
        self.folder.chmod(0o755)
        self._user = _other_user() if os.geteuid() == 0 else None
        for name in ("db", "tmp", "run"):
            (self.folder / name).mkdir()
        if self._user is not None:
            for place in (self.folder, *self.folder.iterdir()):
                os.chown(place, self._user.pw_uid, self._user.pw_gid)
        self.pid = 0
        self.port = 0
        self.options = ["AlertExceedsMax yes", *options]
        self.sign(1, {"Eicar": EICAR, "Harmless": HARMLESS})
        self.start()

    @property
    def address(self) -> str:
        """Its address for the settings."""
        return f"127.0.0.1:{self.port}"

    @property
    def socket(self) -> Path:
        """Its socket file."""
        return self.folder / "run" / "clamd.sock"

    def sign(self, version: int, signatures: dict[str, bytes]) -> None:
        """Write its signatures; it knows them after `reload` or a start."""
        lines = "".join(f"Probans.Test.{name}:0:*:{octets.hex()}\n" for name, octets in signatures.items())
        made_at = int(time.time())
        when = time.strftime("%d %b %Y %H-%M +0000", time.gmtime(made_at))
        head = f"ClamAV-VDB:{when}:{version}:{len(signatures)}:90:X:X:tests:{made_at}"
        # What freshclam brings: a database with a version, which the daemon names with its own.
        info = f"{head}\ndaily.ndb:{len(lines)}:{hashlib.sha256(lines.encode()).hexdigest()}\n"
        content = io.BytesIO()
        with tarfile.open(fileobj=content, mode="w", format=tarfile.USTAR_FORMAT) as archive:
            for name, text in (("COPYING", "made for tests\n"), ("daily.info", info), ("daily.ndb", lines)):
                member = tarfile.TarInfo(name)
                member.size = len(text)
                archive.addfile(member, io.BytesIO(text.encode()))
        new = self.folder / "db" / "new"
        new.write_bytes(head.encode().ljust(512) + content.getvalue())
        new.chmod(0o644)
        new.rename(self.folder / "db" / "daily.cud")

    def reload(self) -> None:
        """Have it read its signatures again, as freshclam does."""
        with socket.create_connection(("127.0.0.1", self.port), 10) as connection:
            connection.sendall(b"zRELOAD\0")
            assert connection.recv(64).startswith(b"RELOADING")

    def start(self) -> None:
        """Start it, on the port it had, and wait until it answers."""
        for _ in range(5):
            if self._try(self.port or _free_port()):
                return
        raise AssertionError(f"clamd did not start: {(self.folder / 'log').read_text()[-2000:]}")

    def stop(self) -> None:
        """End it at once, by its pid."""
        if self.pid:
            self.resume()
            os.kill(self.pid, signal.SIGKILL)
            self._process.wait(_START_S)
            self.pid = 0

    def pause(self) -> None:
        """Stop it where it is (SIGSTOP): connections are taken, and nothing is answered."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGCONT)

    def remove(self) -> None:
        """End it and remove its folder."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _try(self, port: int) -> bool:
        self.socket.unlink(missing_ok=True)
        lines = [
            "Foreground yes",
            f"TCPSocket {port}",
            "TCPAddr 127.0.0.1",
            f"LocalSocket {self.socket}",
            "LocalSocketMode 666",
            f"DatabaseDirectory {self.folder / 'db'}",
            f"TemporaryDirectory {self.folder / 'tmp'}",
            "SelfCheck 0",
            "OfficialDatabaseOnly no",
            *self.options,
        ]
        configuration = self.folder / "clamd.conf"
        configuration.write_text("\n".join(lines) + "\n")
        configuration.chmod(0o644)
        extra: dict[str, Any] = {}
        if self._user is not None:
            extra = {"user": self._user.pw_uid, "group": self._user.pw_gid, "extra_groups": []}
        with (self.folder / "log").open("ab") as log:
            process = subprocess.Popen(
                [str(_program()), "--config-file", str(configuration)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                preexec_fn=_die_with_parent,  # noqa: PLW1509 - it only makes a system call
                **extra,
            )
        self._process, self.pid, self.port = process, process.pid, port
        deadline = time.monotonic() + _START_S
        while process.poll() is None and time.monotonic() < deadline:
            if _answers(port):
                return True
            time.sleep(0.02)
        process.kill()
        process.wait()
        self.pid = self.port = 0
        return False


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), 5) as connection:
            connection.sendall(b"zPING\0")
            return connection.recv(16) == b"PONG\0"
    except OSError:
        return False


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _program() -> str | None:
    return shutil.which("clamd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


def _other_user() -> pwd.struct_passwd | None:
    for name in ("clamav", "nobody"):
        with suppress(KeyError):
            return pwd.getpwnam(name)
    return None


def _die_with_parent() -> None:
    """A run that is killed leaves no daemon behind."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
