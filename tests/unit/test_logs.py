"""Lines of log: one an event, the same in both forms, and nothing of what exceptions and libraries say themselves."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vault.errors import Unavailable
from vault.observability.logs import _OURS, REQUEST, JsonLines, TextLines, configure

MARK = "Camille Exemple, 12 rue Haute"


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    before = root.handlers[:]
    levels = {name: logging.getLogger(name).level for name in (*_OURS, "uvicorn")}
    yield io.StringIO()
    root.handlers[:] = before
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


def raising(error: Exception) -> Exception:
    try:
        raise error
    except Exception as caught:
        return caught


def test_a_line_of_json_has_time_level_logger_message_and_what_is_attached(stream: io.StringIO) -> None:
    configure("json", "INFO", stream)
    reference = REQUEST.set("ref-12345")
    logging.getLogger("probans.test").warning("it %s", "failed", extra={"document": "doc_1", "code": "X"})
    REQUEST.reset(reference)
    logging.getLogger("probans.test").debug("not told")
    (line,) = stream.getvalue().splitlines()
    said = json.loads(line)
    assert said.pop("time").endswith("Z")
    assert said == {
        "level": "warning",
        "logger": "probans.test",
        "message": "it failed",
        "request": "ref-12345",
        "document": "doc_1",
        "code": "X",
    }


def test_text_says_the_same(stream: io.StringIO) -> None:
    configure("text", "INFO", stream)
    logging.getLogger("timestamping.x").warning(
        "it failed", extra={"a": "b c", "n": 3, "off": ("x",), "e": ""}
    )
    (line,) = stream.getvalue().splitlines()
    assert line.partition(" ")[2] == 'warning timestamping.x it failed a="b c" n=3 off="[\\"x\\"]" e=""'


@pytest.mark.parametrize("form", ["json", "text"])
def test_of_an_exception_only_kind_code_and_places_are_told(form: str, stream: io.StringIO) -> None:
    configure(form, "INFO", stream)  # type: ignore[arg-type]
    error = Unavailable("STORAGE_UNAVAILABLE", MARK)
    error.__cause__ = raising(ValueError(MARK))
    try:
        raise error
    except Unavailable:
        logging.getLogger("probans.test").exception("failed")
    text = stream.getvalue()
    assert len(text.splitlines()) == 1
    assert "Camille" not in text
    assert "Unavailable STORAGE_UNAVAILABLE" in text
    assert "ValueError" in text
    assert "unit/test_logs.py" in text


@pytest.mark.parametrize("form", ["json", "text"])
def test_libraries_are_told_by_their_template_and_place(form: str, stream: io.StringIO) -> None:
    configure(form, "INFO", stream)  # type: ignore[arg-type]
    other = logging.getLogger("urllib3.connectionpool")
    other.warning("Retrying %s", MARK)
    other.warning(f"Retrying {MARK}")
    other.info("not told")
    text = stream.getvalue()
    assert "Camille" not in text
    assert len(text.splitlines()) == 2
    assert "Retrying %s" in text


@pytest.mark.parametrize("form", ["json", "text"])
@given(said=st.text(st.characters(codec=None), max_size=60), attached=st.text(st.characters(), max_size=20))
def test_whatever_is_said_is_one_line(form: str, said: str, attached: str) -> None:
    record = logging.LogRecord("probans.x", logging.INFO, "x.py", 1, "%s", (said,), None)
    record.attached = attached
    line = (JsonLines() if form == "json" else TextLines()).format(record)
    assert len(line.splitlines()) == 1
    if form == "json":
        assert json.loads(line)["message"] == said


def test_again_is_harmless_and_takes_over_what_others_set_up(stream: io.StringIO) -> None:
    configure("text", "INFO", io.StringIO())
    logging.getLogger().addHandler(logging.StreamHandler(io.StringIO()))
    configure("json", "INFO", stream)
    logging.getLogger("probans.x").warning("once")
    assert stream.getvalue().count("once") == 1
    ours = [each for each in logging.getLogger().handlers if isinstance(each, logging.StreamHandler)]
    assert sum(type(each).__module__ in {"vault.observability.logs", "logging"} for each in ours) == 1


def test_text_keeps_what_people_read_and_nothing_that_deceives(stream: io.StringIO) -> None:
    configure("text", "INFO", stream)
    logging.getLogger("probans.x").info("«\u00a0Éa\u00a0»\nseconde\x1b[31m\u202e")
    (line,) = stream.getvalue().splitlines()
    assert line.endswith("info probans.x «\u00a0Éa\u00a0» ⏎ seconde�[31m�")


def test_a_long_message_is_cut(stream: io.StringIO) -> None:
    configure("json", "INFO", stream)
    logging.getLogger("probans.x").warning("x" * 100_000)
    assert len(stream.getvalue()) < 5000
