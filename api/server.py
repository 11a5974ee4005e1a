"""Serves pages and API: one process in place, or several that share one listening socket."""

from __future__ import annotations

import socket
import sys

from api.security import is_loopback
from api.supervisor import run_workers
from api.worker import BACKLOG, Tokens, run_worker
from vault.errors import SettingsRefused
from vault.settings import Settings

PORTS_TRIED = 51


def serve(settings: Settings, host: str = "127.0.0.1", port: int = 8000, workers: int = 1) -> None:
    """Serve until SIGTERM or SIGINT; prints the address when it answers, then the personas' tokens.

    Args:
        settings: of the safe; each process opens it.
        host: address to listen on; in development a loopback one, since the personas' tokens are printed.
        port: port to listen on, or the next free one of the 50 after it; 0 lets the system choose.
        workers: processes.

    Raises:
        SettingsRefused: a host that others can reach in development, no free port, or what `open_vault` refuses.
        LedgerError: see `open_vault`.
    """
    if not settings.is_production and not is_loopback(host):
        raise SettingsRefused(
            "SETTINGS_REFUSED", "development personas are served on loopback only: use --host 127.0.0.1"
        )
    listener = listen(host, port)
    try:
        if workers > 1:
            run_workers(settings, listener, workers, lambda tokens: announce(listener, tokens))
        else:
            run_worker(settings, listener, lambda tokens: announce(listener, tokens))
    finally:
        listener.close()


def listen(host: str, port: int) -> socket.socket:
    """Return a bound socket on the port asked for, or the next free one. Raises SettingsRefused."""
    candidates = [0] if port == 0 else range(port, min(port + PORTS_TRIED, 65536))
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    problem: OSError | None = None
    for candidate in candidates:
        listener = socket.socket(family, socket.SOCK_STREAM)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((host.strip("[]"), candidate))
            # Two sockets may be bound to one port; only one may listen.
            listener.listen(BACKLOG)
        except OSError as error:
            listener.close()
            problem = error
        else:
            return listener
    raise SettingsRefused("SETTINGS_REFUSED", f"no free port from {port} on: {problem}")


def announce(listener: socket.socket, tokens: Tokens) -> None:
    """Print the address and the tokens."""
    host, port = listener.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    lines = [f"Probans: http://{shown}:{port}", *(f"  {label}: {token}" for label, token in tokens)]
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()
