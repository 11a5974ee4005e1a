"""The real server with a trap in it: started by tests, never by people.

    python -m tests.e2e.harness.launcher DATA WORKERS [POINT PASSAGE]

With a point, the trap is armed before the first start. In a single process more routes are there: one arms a
trap, which kills the process at the k-th passage of a named point; others destroy a document and date the ledger
before the hour is over, for which the interface has no route. Settings come from the environment, as in production.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from fastapi import FastAPI

import api.app
import api.worker
from api.server import serve
from tests.e2e.harness.trap import Trap
from vault.core import faults
from vault.domain.actors import Actor, Role
from vault.service import Vault
from vault.settings import Settings

_OPERATOR = Actor("exploitant", Role.OPERATOR)


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

        def anchor() -> dict[str, int | None]:
            return {"size": vault.anchoring.anchor(force=True)}

        app.add_api_route("/test/trap", arm, methods=["POST"])
        app.add_api_route("/test/anchors", anchor, methods=["POST"])
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
