"""Lines of log: one an event, as text or as JSON, the same fields in both, and nothing about people in them.

What a library or an exception says in its own words may quote a file, an address or a statement with its values. So of
an exception its kind, code and places are told and never its text, and of other people's libraries the template of the
message without what was put into it.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import traceback
from collections.abc import Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import IO, Any, Literal

import orjson

#: Reference of the request that is being answered, "" outside of one; lines that are written meanwhile carry it.
REQUEST: ContextVar[str] = ContextVar("probans_request", default="")
_OURS = ("probans", "timestamping", "signing", "storage", "identity")
_STANDARD = frozenset({*logging.makeLogRecord({}).__dict__, "message", "asctime", "taskName"})
_MOST_PLACES = 12
_MOST_CAUSES = 4
_LONGEST = 4000
# Controls, ends of lines, marks that turn the direction of a text, halves of pairs: a line of log is one line, as read.
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
# What needs no quotation marks after `name=`.
_BARE = re.compile(r'[^ "=]+')
# JSON lets them stand as they are; some readers of lines do not.
_BREAKS = {each: f"\\u{each:04x}" for each in (0x85, 0x2028, 0x2029)}


def configure(form: Literal["text", "json"], level: str, stream: IO[str] | None = None) -> None:
    """Have every line go to one stream; again is harmless.

    Args:
        form: `text` or `json`.
        level: lowest level of our own lines; those of libraries are told from WARNING on.
        stream: standard error when None.
    """
    root = logging.getLogger()
    for former in [each for each in root.handlers if type(each) in {logging.StreamHandler, _Handler}]:
        root.removeHandler(former)  # this one's, or that of `logging.basicConfig`
    handler = _Handler(stream or sys.stderr)
    handler.setFormatter(JsonLines() if form == "json" else TextLines())
    root.addHandler(handler)
    for name in _OURS:
        logging.getLogger(name).setLevel(level)
    # It repeats what is answered or told elsewhere, with addresses.
    logging.getLogger("uvicorn").setLevel(logging.CRITICAL)


class _Handler(logging.StreamHandler[IO[str]]):
    """The handler of `configure`, to be told from others."""


class JsonLines(logging.Formatter):
    """One JSON object a line: time, level, logger, message; request, error and what else is attached, if any."""

    def format(self, record: logging.LogRecord) -> str:
        """Write a line."""
        line = fields_of(record)
        try:
            return orjson.dumps(line, default=str).decode().translate(_BREAKS)
        except TypeError:  # half a surrogate pair, or another key than a text
            return json.dumps(line, default=str, skipkeys=True)


class TextLines(logging.Formatter):
    """The same for people: time, level, logger, message, then `name=value`."""

    def format(self, record: logging.LogRecord) -> str:
        """Write a line."""
        line = dict(fields_of(record))
        head = " ".join(str(line.pop(name)) for name in ("time", "level", "logger", "message"))
        rest = "".join(f" {name}={_plain(value)}" for name, value in line.items())
        return _one_line(head + rest)


def fields_of(record: logging.LogRecord) -> Mapping[str, Any]:
    """Return what a line says, the fixed fields first."""
    ours = record.name.partition(".")[0] in _OURS
    line: dict[str, Any] = {
        "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")[:-6] + "Z",
        "level": record.levelname.lower(),
        "logger": record.name,
        "message": record.getMessage()[:_LONGEST] if ours else _template(record),
    }
    if reference := REQUEST.get():
        line["request"] = reference
    if ours:
        line |= {name: value for name, value in record.__dict__.items() if name not in _STANDARD}
    if record.exc_info and record.exc_info[1] is not None:
        line["error"] = told(record.exc_info[1])
    return line


def told(error: BaseException) -> list[str]:
    """Return kind, code and places of an exception and of what caused it, one text each; never their own words."""
    found: list[str] = []
    seen: BaseException | None = error
    while seen is not None and len(found) < _MOST_CAUSES:
        frames = traceback.extract_tb(seen.__traceback__)[-_MOST_PLACES:]
        places = " < ".join(f"{_short(each.filename)}:{each.lineno} {each.name}" for each in reversed(frames))
        kind = type(seen).__name__
        code = getattr(seen, "code", None)
        found.append(f"{kind} {code} {places}" if isinstance(code, str) else f"{kind} {places}")
        seen = seen.__cause__ or (None if seen.__suppress_context__ else seen.__context__)
    return found


def _template(record: logging.LogRecord) -> str:
    """Return what is certain to be the library's own words: a message with places to be filled in, or where it is."""
    place = f"{record.module}:{record.lineno}"
    return f"{record.msg} ({place})" if record.args and isinstance(record.msg, str) else place


def _plain(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
    return text if _BARE.fullmatch(text) else json.dumps(text, ensure_ascii=False)


def _one_line(text: str) -> str:
    return _CONTROLS.sub("�", text.replace("\n", " ⏎ "))


def _short(path: str) -> str:
    return "/".join(path.split("/")[-2:])
