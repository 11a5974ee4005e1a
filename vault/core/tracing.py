"""Spans of what the service does, for whoever collects traces; where nobody does, a span costs one comparison.

Attributes are numbers, codes and names of parts. Nothing of a file, of its description, or of people stands in them,
and of an exception only its code.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

Value = str | int | float | bool


class Span(Protocol):
    """What lasts, as long as it lasts."""

    def note(self, **attributes: Value) -> None:
        """Attach attributes; a double underscore in a name stands for a point."""
        ...

    def rename(self, name: str) -> None:
        """Give it the name that is known by now."""
        ...


class Tracer(Protocol):
    """Makes spans."""

    def span(self, name: str, parent: str) -> AbstractContextManager[Span]:
        """Begin a span below that of this thread of work, or of a `traceparent` (W3C Trace Context)."""
        ...


class _Nothing:
    def note(self, **_attributes: Value) -> None:
        pass

    def rename(self, _name: str) -> None:
        pass


_NOTHING: AbstractContextManager[Span] = nullcontext(_Nothing())
_tracer: Tracer | None = None


def install(tracer: Tracer | None) -> None:
    """Install, or with None remove, what makes the spans of this process."""
    global _tracer  # noqa: PLW0603 - one switch for the process, as libraries have one context
    _tracer = tracer


def span(name: str, parent: str = "") -> AbstractContextManager[Span]:
    """Return a context that lasts as long as a step does.

    Args:
        name: one of few; never made of what came from outside.
        parent: `traceparent` of who asked; "" for the span that lasts already.
    """
    return _NOTHING if _tracer is None else _tracer.span(name, parent)
