"""The bridge between the server's asynchronous body and the safe's synchronous pipeline.

The pipeline runs in a worker thread and pulls: each time it wants octets, the thread asks the event loop for
the next message of the body and sleeps until it is there. Of a body that the server's own buffer cannot hold
(64 KiB, above which it stops reading from the socket) nothing is read ahead, so memory does not depend on the size
of the file. A client that goes away raises inside the iterator, hence inside the pipeline, which then drops
its unnamed spool file: a cut upload leaves nothing. A client that stays but sends nothing is cut as well,
since it holds a thread.

A smaller body is taken as it comes, for a moment, before there is a thread at all: to ask the loop from a thread and
to sleep costs more than all else that HTTP does for a document.

Uploads have threads of their own, so that slow senders never keep readers waiting.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from typing import TypeVar

import anyio
import anyio.from_thread
from starlette.requests import Request
from starlette.types import Message, Receive

from vault.errors import Refused, Unavailable

T = TypeVar("T")

STALL_SECONDS = 60.0
UPLOAD_THREADS = 64
UPLOAD_QUEUE = 64
AHEAD_OCTETS = 64 * 1024
AHEAD_SECONDS = 1.0
_here = threading.local()


class UploadCut(Exception):
    """The client went away before the end of its body; there is nobody to answer."""


class UploadDesk:
    """Threads for uploads, and a bound on how many uploads wait for one."""

    def __init__(self, threads: int = UPLOAD_THREADS, queue: int = UPLOAD_QUEUE) -> None:
        """Keep the limits.

        Args:
            threads: uploads worked on at once in this process.
            queue: uploads that may wait for a thread.
        """
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="probans-upload")
        self._room = threads + queue
        self._inside = 0

    async def run(self, work: Callable[[], T], request: Request | None = None) -> T:
        """Run synchronous work that pulls a body, in a thread.

        Args:
            work: what to do.
            request: whose body, if it is small, is taken in before the thread; None: the thread asks for all of it.

        Raises:
            Unavailable: BUSY when too many uploads wait already.
        """
        if self._inside >= self._room:
            raise Unavailable("BUSY")
        self._inside += 1
        try:
            if request is not None:
                await read_ahead(request)
            loop, context = asyncio.get_running_loop(), copy_context()
            return await loop.run_in_executor(self._threads, context.run, _for_loop, loop, work)
        finally:
            self._inside -= 1


async def read_ahead(request: Request) -> bool:
    """Take in what comes of a small body within AHEAD_SECONDS; `body_chunks` gives it, and asks for what is missing.

    Not of one whose sender waits to be told to go on (RFC 9110, 10.1.1): it may be refused before it is sent. Again
    is harmless.

    Returns:
        Whether all of it is in memory.
    """
    taken: deque[Message] | None = getattr(request.state, "ahead", None)
    if taken is None:
        if not _is_small(request.headers.get("content-length", "")) or "expect" in request.headers:
            return False
        taken = request.state.ahead = deque()
        with suppress(TimeoutError):
            async with asyncio.timeout(AHEAD_SECONDS):
                while not taken or _goes_on(taken[-1]):
                    taken.append(await request.receive())
    return bool(taken) and not _goes_on(taken[-1])


def body_chunks(request: Request, stall: float = STALL_SECONDS) -> Iterator[bytes]:
    """Yield the body's octets; to be consumed in a thread started by the event loop.

    Args:
        request: its body must not have been read.
        stall: seconds without any octet after which the client is cut.

    Raises:
        UploadCut: the client went away.
        Refused: REQUEST_TIMEOUT when nothing came for `stall` seconds.
    """
    taken: deque[Message] = getattr(request.state, "ahead", None) or deque()
    more = True
    while more:
        message = taken.popleft() if taken else _asked(request.receive, stall)
        if message["type"] != "http.request":
            raise UploadCut
        more = _goes_on(message)
        if chunk := message.get("body", b""):
            yield chunk


def _for_loop(loop: asyncio.AbstractEventLoop, work: Callable[[], T]) -> T:
    _here.loop = loop
    return work()


def _asked(receive: Receive, stall: float) -> Message:
    """Ask the loop that waits for this thread: the upload desk's, or the one of a thread that the framework began."""
    loop: asyncio.AbstractEventLoop | None = getattr(_here, "loop", None)
    if loop is None:
        return anyio.from_thread.run(_next, receive, stall)
    return asyncio.run_coroutine_threadsafe(_next(receive, stall), loop).result()


async def _next(receive: Receive, stall: float) -> Message:
    try:
        async with asyncio.timeout(stall):
            return await receive()
    except TimeoutError:
        raise Refused("REQUEST_TIMEOUT") from None


def _is_small(length: str) -> bool:
    return length.isascii() and length.isdigit() and len(length) < 8 and 0 < int(length) <= AHEAD_OCTETS


def _goes_on(message: Message) -> bool:
    return message["type"] == "http.request" and bool(message.get("more_body", False))
