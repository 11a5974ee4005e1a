"""The real server with a trap in it: started by tests, never by people.

    python -m tests.e2e.harness.launcher DATA WORKERS [POINT PASSAGE]

With a point, the trap is armed before the first start. In a single process two more routes are there: one arms
a trap, which kills the process at the k-th passage of a named point; the other destroys a document, for which
the interface has no route. Settings come from the environment, as in production.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from fastapi import FastAPI

import api.app
import api.worker
from api.server import serve
from vault import faults
from vault.domain.actors import Actor, Role
from vault.service import Vault
from vault.settings import Settings

_OPERATOR = Actor("exploitant", Role.OPERATOR)


class Trap:
    """Kills its own process without a word more, as a power switch would."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._point = ""
        self._left = 0

    def arm(self, point: str, passage: int) -> None:
        """Kill at the given passage, counted from now, of a point."""
        with self._lock:
            self._point, self._left = point, passage

    def passed(self, point: str) -> None:
        """Count a passage."""
        with self._lock:
            if point != self._point:
                return
            self._left -= 1
            if self._left == 0:
                os.write(1, f"killed at {point}\n".encode())
                os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    """Serve."""
    trap, original = Trap(), api.app.create_app

    def create_app(vault: Vault, *arguments: Any) -> FastAPI:
        app = original(vault, *arguments)

        def arm(point: str, passage: int) -> dict[str, str]:
            trap.arm(point, passage)
            return {"armed": point}

        def destroy(document_id: str) -> dict[str, int]:
            return {"entry": vault.lifecycle.destroy(_OPERATOR, document_id)}

        app.add_api_route("/test/trap", arm, methods=["POST"])
        app.add_api_route("/test/documents/{document_id}", destroy, methods=["DELETE"])
        return app

    setattr(api.worker, "create_app", create_app)  # noqa: B010 - what the worker imported
    if len(sys.argv) > 3:
        trap.arm(sys.argv[3], int(sys.argv[4]))
    faults.install(trap.passed)
    settings = Settings().model_copy(update={"data": Path(sys.argv[1])})
    serve(settings, "127.0.0.1", 0, int(sys.argv[2]))


if __name__ == "__main__":
    main()
