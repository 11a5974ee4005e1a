"""One process that serves: it opens the safe, answers, and closes the safe when told to stop."""

from __future__ import annotations

import contextlib
import signal
import socket
from collections.abc import Callable, Iterator, MutableSequence, Sequence
from types import FrameType

import uvicorn
import uvloop

from api.app import create_app
from api.metrics import Metrics
from api.protocol import Protocol
from vault.bootstrap import open_vault, opening
from vault.observability.logs import configure
from vault.service import Vault
from vault.settings import Settings

KEEP_ALIVE_SECONDS = 15
STOP_SECONDS = 20
BACKLOG = 1024
# Room for a description of the default largest size in base64url, and the other headers.
HEAD_OCTETS = 128 * 1024

# Labels and tokens of the development personas.
Tokens = Sequence[tuple[str, str]]


def run_worker(
    settings: Settings,
    listener: socket.socket,
    on_ready: Callable[[Tokens], None],
    block: MutableSequence[int] | None = None,
    slot: int = 0,
    signals: Sequence[signal.Signals] = (signal.SIGINT, signal.SIGTERM),
) -> None:
    """Open the safe and answer until told to stop; what was begun is finished first.

    Args:
        settings: of the safe.
        listener: bound and listening.
        on_ready: told the personas' tokens when requests are answered.
        block: shared memory for the counters of all processes, or None.
        slot: this process's slot in it.
        signals: that stop it.

    Raises:
        VaultError: what `open_vault` refuses.
    """
    configure(settings.log, settings.log_level)
    with opening(settings):
        vault = open_vault(settings)
    metrics = Metrics(block, slot)
    try:
        app = create_app(vault, metrics)
        metrics.start()
        config = uvicorn.Config(
            app,
            http=Protocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            backlog=BACKLOG,
            h11_max_incomplete_event_size=HEAD_OCTETS,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=STOP_SECONDS,
        )
        server = _Server(config, lambda: on_ready(tokens_of(vault)), signals)
        uvloop.run(server.serve(sockets=[listener]))
    finally:
        metrics.close()
        vault.close()


def tokens_of(vault: Vault) -> Tokens:
    """Return the personas' labels and tokens, for the console of a development machine."""
    return [(persona.label, persona.token) for persona in vault.personas.all()]


class _Server(uvicorn.Server):
    """uvicorn's server that tells when it answers, and returns on a signal instead of raising it again."""

    def __init__(
        self, config: uvicorn.Config, on_ready: Callable[[], None], signals: Sequence[signal.Signals]
    ) -> None:
        super().__init__(config)
        self._on_ready = on_ready
        self._signals = signals

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        if self.started:
            self._on_ready()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        def stop(_signal: int, _frame: FrameType | None) -> None:
            # A second signal does not wait for connections any more; the safe is still closed in order.
            self.force_exit = self.should_exit
            self.should_exit = True

        before = {number: signal.signal(number, stop) for number in self._signals}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
