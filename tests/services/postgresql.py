"""A real PostgreSQL server of the tests' own: unprivileged, in a folder of its own, reached by a socket in it."""

from __future__ import annotations

import ctypes
import hashlib
import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

OLDEST = 14
# Where a test chose PostgreSQL: the folder of its server's socket. Processes that it starts see it too.
CHOSEN = "PROBANS_TEST_POSTGRESQL"
_USER = "probans"
_START_S = 60.0
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)


@cache
def programs() -> Path | None:
    """Return the folder of the newest server's programs, None where there is none."""
    found = shutil.which("initdb")
    folders = [*Path("/usr/lib/postgresql").glob("*/bin"), *([Path(found).resolve().parent] if found else [])]
    usable = [(version, folder) for folder in folders if (version := _version(folder)) >= OLDEST]
    return max(usable)[1] if usable else None


def installed() -> bool:
    """Tell whether a server can be started here."""
    return programs() is not None and (os.geteuid() != 0 or _other_user() is not None)


class Server:
    """One server.

    Attributes:
        folder: of its data, log and socket.
        pid: of its first process; 0 while it is stopped.
    """

    def __init__(self, *options: str, place: Path | None = None, primary: Server | None = None) -> None:
        """Make a cluster and start it.

        Args:
            options: of the server, such as "max_connections=20".
            place: folder for its own; None for memory where that can be: what counts in tests is what the server
                does, not what a disk does.
            primary: the server whose standby it is; None for one of its own.
        """
        if place is None and os.access("/dev/shm", os.W_OK):
            place = Path("/dev/shm")
        self.folder = Path(tempfile.mkdtemp(prefix="probans-pg-", dir=place))
        self.pid = 0
        # Its shared memory in files of its own: a crash leaves nothing behind that its folder does not hold.
        memory = "dynamic_shared_memory_type=mmap"
        self._options = ("listen_addresses=", f"unix_socket_directories={self.folder}", memory, *options)
        self._user = _other_user() if os.geteuid() == 0 else None
        if self._user is not None:
            # Not as root, says initdb; and pytest's own folders are closed to other users.
            os.chown(self.folder, self._user.pw_uid, self._user.pw_gid)
        data = ("-D", str(self.folder / "data"), "-U", _USER, "-N")
        if primary is None:
            self._run("initdb", *data, "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8")
        else:
            self._run("pg_basebackup", *data, "-h", str(primary.folder), "-R", "--checkpoint=fast")
        self.start()

    def start(self) -> None:
        """Start it and wait until it answers."""
        options = [word for option in self._options for word in ("-c", option)]
        with (self.folder / "log").open("ab") as log:
            process = subprocess.Popen(
                [self._program("postgres"), "-D", str(self.folder / "data"), *options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=_die_with_parent,  # noqa: PLW1509 - it only makes a system call
                **self._as(),
            )
        self._process, self.pid = process, process.pid
        deadline = time.monotonic() + _START_S
        while True:
            try:
                self.execute("SELECT 1")
            except OSError:
                pass
            else:
                return
            if process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise AssertionError(f"PostgreSQL did not start: {(self.folder / 'log').read_text()[-2000:]}")
            time.sleep(0.02)

    def standby(self, *options: str) -> Server:
        """Return a server that follows this one, until it is promoted. See the constructor for its options."""
        return Server(*options, place=self.folder.parent, primary=self)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End it, by its pid. SIGINT: at once but in order. SIGQUIT: as after a power cut."""
        if self.pid:
            os.kill(self.pid, how)
            self._process.wait(_START_S)
            self.pid = 0

    def pause(self) -> None:
        """Stop all its processes where they are (SIGSTOP)."""
        for pid in self._pids():
            os.kill(pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let them go on."""
        for pid in self._pids():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    def remove(self) -> None:
        """End it and remove its folder."""
        if self.pid:
            self.resume()
            self.stop(signal.SIGQUIT)
        shutil.rmtree(self.folder, ignore_errors=True)

    def url(self, database: str) -> str:
        """Return a database's address for the settings."""
        return address_at(self.folder, database)

    def create(self, database: str, template: str = "template0") -> str:
        """Make a database, or a copy of one that nobody uses; return its address."""
        self.execute(f'CREATE DATABASE "{database}" TEMPLATE "{template}"')
        return self.url(database)

    def drop(self, database: str) -> None:
        """Remove a database and whoever is connected to it."""
        self.execute(f'DROP DATABASE IF EXISTS "{database}" WITH (FORCE)')

    def databases(self) -> set[str]:
        """Return the names of the databases that tests made."""
        rows = self.execute(
            "SELECT datname FROM pg_database WHERE NOT datistemplate AND datname <> 'postgres'"
        )
        return {name for (name,) in rows}

    def execute(self, sql: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Run a statement as the owner of everything. Raises OSError while it does not answer."""
        return execute(self.folder, sql, database)

    def _program(self, name: str) -> str:
        folder = programs()
        assert folder is not None
        return str(folder / name)

    def _as(self) -> dict[str, Any]:
        if self._user is None:
            return {}
        return {"user": self._user.pw_uid, "group": self._user.pw_gid, "extra_groups": [], "cwd": self.folder}

    def _run(self, program: str, *arguments: str) -> None:
        command = (self._program(program), *arguments)
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, **self._as())
        assert done.returncode == 0, done.stderr

    def _pids(self) -> list[int]:
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        return [self.pid, *map(int, children)]


def address_at(folder: Path, database: str) -> str:
    """Return a database's address by the folder of the server's socket."""
    return f"postgresql+psycopg://{_USER}@/{database}?host={folder}"


def address(folder: Path) -> str:
    """Return the address of the database of a test's folder: SQLite, or PostgreSQL where the test chose that."""
    chosen = os.environ.get(CHOSEN)
    if chosen is None:
        return f"sqlite:///{folder / 'safe.db'}"
    name = "t" + hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:24]
    if not execute(Path(chosen), f"SELECT 1 FROM pg_database WHERE datname = '{name}'"):
        import psycopg

        with suppress(
            psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation
        ):  # another process was first
            execute(Path(chosen), f'CREATE DATABASE "{name}" TEMPLATE template0')
    return address_at(Path(chosen), name)


def execute(folder: Path, sql: str, database: str = "postgres") -> list[tuple[Any, ...]]:
    """Run a statement at the server whose socket is in a folder. Raises OSError while it does not answer."""
    import psycopg

    try:
        connection = psycopg.connect(f"host={folder} user={_USER} dbname={database}", autocommit=True)
    except psycopg.OperationalError as error:
        raise OSError(str(error)) from error
    with connection:
        cursor = connection.execute(sql.encode())
        return cursor.fetchall() if cursor.description else []


def _version(folder: Path) -> int:
    if not all((folder / name).exists() for name in ("initdb", "postgres")):
        return 0
    done = subprocess.run(
        [folder / "postgres", "-V"], capture_output=True, text=True, timeout=30, check=False
    )
    found = re.search(r"(\d+)", done.stdout)
    return int(found[1]) if found else 0


def unprivileged() -> dict[str, Any]:
    """Return what `subprocess` wants so that a server is not started as root."""
    user = _other_user() if os.geteuid() == 0 else None
    return {} if user is None else {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def _other_user() -> pwd.struct_passwd | None:
    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            return pwd.getpwnam(name)
    return None


def _die_with_parent() -> None:
    """A run that is killed leaves no server behind."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, int(signal.SIGQUIT))
