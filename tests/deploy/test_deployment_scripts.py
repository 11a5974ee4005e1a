"""The scripts of deploy/ on the real servers: a database whose commits wait for its standby, a store over TLS."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from storage.errors import StorageUnavailable
from storage.s3 import S3Client, S3Config
from storage.s3_buckets import demand_locked, make
from tests.services import clamd, postgresql, versitygw
from vault.scanning.clamav import Clamd, ClamdConfig

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
JUDGES = Path(__file__).resolve().parents[2] / ".cache" / "judges"


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """A folder that the servers' own user may enter."""
    folder = Path(tempfile.mkdtemp(prefix="probans-deploy-"))
    folder.chmod(0o755)
    environment = {"PATH": os.environ["PATH"], "FOLDER": str(folder)}
    subprocess.run([DEPLOY / "secrets.sh", "localhost"], check=True, env=environment, timeout=60)
    (folder / "secrets").chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def until(true: Callable[[], Any], seconds: float = 30.0) -> Any:
    deadline = time.monotonic() + seconds
    while True:
        try:
            if found := true():
                return found
        except (OSError, psycopg.Error):
            pass
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.needs("postgresql")
@pytest.mark.needs("compose-check")
@pytest.mark.needs("openssl")
def test_commits_wait_for_the_standby_over_tls(place: Path) -> None:
    """What the image's entry point does, step by step, with the options and scripts of deploy/."""
    programs = postgresql.programs()
    assert programs is not None
    owner: dict[str, Any] = postgresql.unprivileged()
    folder = place / "postgresql"
    secrets = folder / "secrets"
    shutil.copytree(place / "secrets", secrets)
    for each in (folder, secrets, *secrets.iterdir()):
        if "user" in owner:
            os.chown(each, owner["user"], owner["group"])
    composed = json.loads(
        subprocess.run(
            [JUDGES / "compose-check", "-format", "json", DEPLOY / "compose.yaml"],
            capture_output=True, check=True, timeout=60,
        ).stdout
    )["services"]  # fmt: skip
    options = [word.replace("/run/secrets", str(secrets)) for word in composed["database"]["command"][1:]]
    following = [word.replace("/run/secrets", str(secrets)) for word in composed["standby"]["command"]]
    data, port = folder / "primary", free_port()
    environment = {"PATH": f"{programs}:{os.environ['PATH']}", "SECRETS": str(secrets), "LC_ALL": "C.UTF-8"}
    run: dict[str, Any] = {"env": environment | {"PGDATA": str(data), "TMPDIR": str(folder)}, **owner}
    arguments = composed["database"]["environment"]["POSTGRES_INITDB_ARGS"].split()
    subprocess.run(
        ["initdb", "-D", data, "-U", "postgres", "--auth-local=trust", *arguments],
        check=True, timeout=60, stdout=subprocess.DEVNULL, **run,
    )  # fmt: skip
    with (data / "pg_hba.conf").open("a") as rules:
        rules.write("hostssl all all all scram-sha-256\n")  # the image's entry point writes such a line
    listening = ["-c", f"port={port}", "-c", f"unix_socket_directories={folder}"]
    run["env"] |= {"PGHOST": str(folder), "PGPORT": str(port)}
    processes: list[subprocess.Popen[bytes]] = []
    log = (folder / "log").open("ab")

    def start(command: list[Any], **more: str) -> subprocess.Popen[bytes]:
        started = subprocess.Popen(command, stdout=log, stderr=log, **(run | {"env": run["env"] | more}))
        processes.append(started)
        return started

    def ask(query: str) -> Any:
        with psycopg.connect(f"host={folder} port={port} user=postgres dbname=postgres") as connection:
            return connection.execute(query).fetchone()

    try:
        first = start(["postgres", "-D", data, "-c", "listen_addresses=", *options, *listening])
        until(lambda: ask("SELECT 1"))
        subprocess.run([DEPLOY / "postgresql" / "primary.sh"], check=True, timeout=60, **run)
        first.send_signal(signal.SIGINT)
        first.wait(30)
        start(["postgres", "-D", data, "-c", "listen_addresses=127.0.0.1", *options, *listening])
        until(lambda: ask("SELECT 1"))
        address = (
            f"host=localhost hostaddr=127.0.0.1 port={port} user=probans dbname=probans sslmode=verify-full "
            f"sslrootcert={secrets}/inside_ca connect_timeout=5"
        )
        password = (secrets / "database_password").read_text().strip()
        kept = threading.Event()

        def promise() -> None:
            with psycopg.connect(f"{address} password={password}", autocommit=True) as connection:
                connection.execute("CREATE TABLE kept (n integer)")
            kept.set()

        # Nobody follows yet, so nothing is promised.
        threading.Thread(target=promise, daemon=True).start()
        until(lambda: ask("SELECT 1 FROM pg_stat_activity WHERE wait_event = 'SyncRep'"))
        assert not kept.is_set()
        standby = free_port()
        start(
            [DEPLOY / "postgresql" / "standby.sh", *following, "-c", f"port={standby}", "-c", "listen_addresses=",
             "-c", f"unix_socket_directories={folder}"],
            PGDATA=str(folder / "standby"), PRIMARY="127.0.0.1", PRIMARY_PORT=str(port),
        )  # fmt: skip
        query = "SELECT sync_state FROM pg_stat_replication WHERE application_name = 'standby'"
        until(lambda: ask(query) == ("sync",))
        assert kept.wait(30)
        with psycopg.connect(f"{address} password={password}", autocommit=True) as connection:
            connection.execute("CREATE TABLE later (n integer)")
        with psycopg.connect(f"host={folder} port={standby} user=postgres dbname=probans") as follower:
            follower.autocommit = True
            assert follower.execute("SELECT pg_is_in_recovery()").fetchone() == (True,)
            until(lambda: follower.execute("SELECT to_regclass('later')").fetchone() != (None,))
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(f"{address} password=wrong")
        assert (folder / "pgpass").stat().st_mode & 0o077 == 0
    except AssertionError as error:
        error.add_note((folder / "log").read_text("utf-8", "replace")[-4000:])
        raise
    finally:
        for process in reversed(processes):
            if process.poll() is None:
                process.send_signal(signal.SIGQUIT)
                process.wait(30)
        log.close()


@pytest.mark.needs("versitygw")
@pytest.mark.needs("openssl")
def test_the_store_serves_its_locks_over_tls(place: Path, tmp_path: Path) -> None:
    assert versitygw.installed(versitygw.NEWEST)
    port = free_port()
    environment = {
        "PATH": f"{JUDGES}:{os.environ['PATH']}",
        "SECRETS": str(place / "secrets"),
        "DATA": str(tmp_path),
        "LISTEN": f"127.0.0.1:{port}",
    }
    with (tmp_path / "log").open("ab") as log:
        process = subprocess.Popen([DEPLOY / "store.sh"], stdout=log, stderr=log, env=environment)
    try:
        keys = [
            (place / "secrets" / name).read_text().strip()
            for name in ("store_access_key", "store_secret_key")
        ]
        trusted = S3Config(
            f"https://localhost:{port}", *keys, ca=place / "secrets" / "inside_ca", seconds=10.0
        )

        def reached() -> bool:
            with socket.create_connection(("127.0.0.1", port), timeout=1):
                return True

        until(reached)
        client = S3Client(trusted)
        make(client, "probans-objects", locked=True)
        demand_locked(client, "probans-objects")
        stranger = S3Config(
            f"https://localhost:{port}", *keys, ca=place / "secrets" / "tls_certificate", seconds=5.0
        )
        with pytest.raises(StorageUnavailable):
            demand_locked(S3Client(stranger), "probans-objects")
    finally:
        process.terminate()
        process.wait(20)


@pytest.mark.needs("clamd")
def test_the_antivirus_as_configured_is_believed() -> None:
    places = ("#", "Foreground", "LogFile", "TCP", "DatabaseDirectory", "TemporaryDirectory")
    text = (DEPLOY / "clamav" / "clamd.conf").read_text("utf-8")
    lines = [line for line in text.splitlines() if line and not line.startswith(places)]
    # The tests' own server has that line of itself: what is tried is the file.
    daemon = clamd.Daemon(*(line for line in lines if line != "AlertExceedsMax yes"))
    try:
        assert "AlertExceedsMax yes" in lines
        Clamd(ClamdConfig(daemon.address)).prove()
    finally:
        daemon.remove()
