"""`probans witness`: a standing witness that an outside body runs for the ledgers it watches."""

from __future__ import annotations

import signal
import socket
import threading
from pathlib import Path
from typing import Annotated

import typer

from plumbing.disk import make_folder
from vault.cli.common import USAGE, fail, plain_errors
from vault.clock import SystemClock
from vault.core.keyfiles import read_or_make
from vault.errors import SettingsRefused
from vault.ledger.errors import LedgerProofRefused
from vault.ledger.note import is_key_name
from vault.ledger.policy import Policy, origins
from vault.ledger.witness import Witness
from vault.ledger.witness_keys import WitnessKeys
from vault.ledger.witness_server import WitnessServer

NAME_FILE = "witness-name"


def witness(
    db: Annotated[Path, typer.Option("--db", dir_okay=False, help="Its SQLite file; made when absent.")],
    keys: Annotated[
        Path, typer.Option("--keys", file_okay=False, help="Folder of its keys; made when absent.")
    ],
    log: Annotated[
        list[str],
        typer.Option(
            "--log", help="Public keys of a ledger: a file, one vkey a line, or a vkey; repeatable."
        ),
    ],
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Port, 0 for a free one.")] = 7380,
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
    name: Annotated[
        str, typer.Option("--name", help="Name of its keys, such as witness.example/w1; kept once given.")
    ] = "",
) -> None:
    """Témoin d'un registre. / Witness of a ledger: cosigns what extends all it has seen, refuses the rest.

    It prints its address and public keys, and serves until stopped. Exit code: 1 it cannot run, 2 wrong usage.
    """
    with plain_errors():
        own = WitnessKeys.open(keys, kept_name(keys, name))
        judge = Witness(db, own, _logs(log), SystemClock())
        try:
            server = WitnessServer(judge, host, port)
        except OSError as error:
            fail(f"{host}:{port} : {error.strerror}")
        for vkey in own.vkeys:
            typer.echo(f"witness {vkey}")
        for origin in origins(judge.logs):
            typer.echo(f"log {origin} {judge.head(origin)[0]}")
        typer.echo(f"Witness: http://{host}:{server.server_address[1]}")
        _serve(server)
        judge.close()


def _serve(server: WitnessServer) -> None:
    """Serve until SIGINT or SIGTERM; a request that is cut off can be made again."""

    def stop(_number: int, _frame: object) -> None:
        # `shutdown` waits for the loop that this very thread runs.
        threading.Thread(target=server.shutdown).start()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    server.serve_forever()
    server.server_close()


def _logs(given: list[str]) -> Policy:
    """Read keys of logs: files, or vkeys as they stand."""
    try:
        texts = [Path(item).read_bytes() if Path(item).is_file() else item.encode() for item in given]
        return Policy.from_vkeys(b"\n".join(texts))
    except OSError as error:
        fail(f"--log : {error.strerror}", USAGE)
    except LedgerProofRefused as error:
        fail(f"--log : {error.detail} \\[{error.code}]", USAGE)


def kept_name(folder: Path, name: str) -> str:
    """Return the name kept beside the keys; the first start keeps the one given, or the host's."""
    chosen = name or f"{socket.getfqdn()}/witness"
    if not is_key_name(chosen) or len(chosen.encode()) > 255:
        raise SettingsRefused("WITNESS_NAME_INVALID", "a name has neither spaces nor plus signs")
    make_folder(folder)
    kept = read_or_make(folder / NAME_FILE, chosen.encode).decode("utf-8", "replace")
    if name and name != kept:
        raise SettingsRefused("WITNESS_NAME_INVALID", f"the keys of this folder are named {kept}")
    return kept
