"""A file may kill, hang, bomb or flood the process that judges it: what comes out is a verdict with its reason."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from vault.errors import Unavailable
from vault.evidence.findings import Check, Outcome, Reason, SignatureFinding, Verdict
from vault.evidence.wire import WireRefused, from_wire, to_wire
from vault.verification.limits import Stop, WorkerLimits, stopped
from vault.verification.pool import InProcess, TemplatePool, VerdictPool, judge_in_fork
from vault.verification.question import Question
from vault.verification.warmth import warm

LIMITS = WorkerLimits(memory=64 << 20, processor=1.0, wall=3.0, output=1 << 20, file=1 << 20)
PASSED = Verdict(Outcome.PASSED, checks=(Check("file", Outcome.PASSED, "one", "one"),))
# A template whose children do what the file says. `GONE` kills the template itself, as an exploit might.
TEMPLATE = """
import ctypes, os, signal, sys, time
from vault.evidence.findings import Check, Outcome, Verdict
from vault.evidence.wire import to_wire
from vault.verification.limits import WorkerLimits
from vault.verification.worker import main

def prepare(question):
    def work(file, originals):
        found = {}
        exec(file.read_text(), {"question": question, "originals": originals, "found": found, **globals()})
        text = found.get("text", "one")
        if "raw" in found:
            return found["raw"]
        return to_wire(Verdict(Outcome.PASSED, checks=(Check("file", Outcome.PASSED, text, text),)))
    return work

limits = WorkerLimits(memory=64 << 20, processor=1.0, wall=3.0, output=1 << 20, file=1 << 20)
main(sys.argv[1:], prepare, limits)
"""
HOSTILE = {
    "while True: time.sleep(1)": Stop.TIME,
    "while True: pass": Stop.TIME,
    "bytearray(1 << 30)": Stop.MEMORY,
    "kept = []\nwhile True: kept.append(bytes(1 << 16))": Stop.MEMORY,
    "os.kill(os.getpid(), signal.SIGKILL)": Stop.MEMORY,
    "ctypes.string_at(0)": Stop.CRASH,
    "os.abort()": Stop.CRASH,
    "os._exit(0)": Stop.CRASH,
    "os._exit(3)": Stop.CRASH,
    "raise ValueError": Stop.CRASH,
    "raise SystemExit(0)": Stop.CRASH,
    "found['raw'] = b'x' * (2 << 20)": Stop.OUTPUT,
    "found['raw'] = b'{}'": Stop.CRASH,
    "found['raw'] = b''": Stop.CRASH,
    "found['text'] = chr(0xD800)": Stop.CRASH,
    "open('/tmp/probans-too-large', 'wb').write(bytes(2 << 20))": Stop.CRASH,
}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "template.py"
    path.write_text(TEMPLATE)
    return path


@contextmanager
def pool_of(template: Path, **changes: object) -> Iterator[TemplatePool]:
    command = (sys.executable, "-I", str(template))
    question = Question("")
    with TemplatePool(lambda: question, limits=LIMITS, command=command, **changes) as pool:  # type: ignore[arg-type]
        yield pool


@pytest.fixture(scope="module")
def pool(template: Path) -> Iterator[TemplatePool]:
    with pool_of(template) as made:
        yield made


@pytest.fixture
def written(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        path = tmp_path / f"file-{len(list(tmp_path.iterdir()))}"
        path.write_text(text)
        return path

    return write


def test_a_quiet_file_gets_its_verdict(pool: TemplatePool, written: Callable[[str], Path]) -> None:
    assert pool.judge(written("")) == PASSED
    asked = pool.judge(written("found['text'] = question.decode()"))
    assert asked.checks[0].found == Question("").octets().decode()
    # Descriptors are handed over, not names: a file without name is judged as well.
    with written("found['text'] = ','.join(each.read_text() for each in originals)").open("rb") as file:
        verdict = pool.judge(Path(f"/proc/self/fd/{file.fileno()}"), originals=(written("a"), written("b")))
    assert verdict.checks[0].found == "a,b"


@pytest.mark.parametrize(("text", "stop"), HOSTILE.items())
def test_whatever_a_file_does_it_gets_a_verdict(
    text: str, stop: Stop, pool: TemplatePool, written: Callable[[str], Path]
) -> None:
    begun = time.monotonic()
    verdict = pool.judge(written(text))
    assert verdict == stopped(stop)
    assert verdict.exit_code == 3
    assert [reason.code for reason in verdict.reasons] == [stop.value]
    assert time.monotonic() - begun < LIMITS.wall + 5
    assert pool.judge(written("")) == PASSED, "the next file was hurt"


def test_files_are_judged_beside_a_hanging_one(template: Path, written: Callable[[str], Path]) -> None:
    with pool_of(template, at_once=2) as pool:
        pool.judge(written(""))
        slow: list[Verdict] = []
        hanging = written("while True: time.sleep(1)")
        thread = threading.Thread(target=lambda: slow.append(pool.judge(hanging)))
        thread.start()
        begun = time.monotonic()
        while thread.is_alive() and time.monotonic() - begun < 1.0:
            assert pool.judge(written("")) == PASSED
        assert not slow
        thread.join()
        assert slow == [stopped(Stop.TIME)]


def test_who_waits_too_long_is_told_so(template: Path, written: Callable[[str], Path]) -> None:
    with pool_of(template, at_once=1, patience=0.2) as pool:
        hanging, quiet = written("while True: time.sleep(1)"), written("")
        thread = threading.Thread(target=pool.judge, args=(hanging,))
        thread.start()
        time.sleep(0.3)
        with pytest.raises(Unavailable) as refused:
            pool.judge(quiet)
        assert refused.value.code == "BUSY"
        thread.join()
        assert pool.judge(quiet) == PASSED, "a turn was lost"


def test_hanging_files_do_not_take_every_thread(template: Path, written: Callable[[str], Path]) -> None:
    with pool_of(template, at_once=1, waiting=1) as pool:
        hanging = written("while True: time.sleep(1)")

        def ask() -> None:
            with suppress(Unavailable):
                pool.judge(hanging)

        threads = [threading.Thread(target=ask) for _ in range(2)]
        for thread in threads:
            thread.start()
        time.sleep(0.3)
        begun = time.monotonic()
        with pytest.raises(Unavailable):
            pool.judge(hanging)
        assert time.monotonic() - begun < 0.2
        pool.close()
        for thread in threads:
            thread.join(10)
            assert not thread.is_alive()


def test_a_file_cannot_reach_the_next_one(pool: TemplatePool, written: Callable[[str], Path]) -> None:
    """What a child changes in itself, the libraries' limits included, dies with it."""
    spoil = "import vault.evidence.findings as f; f.Outcome = None; globals()['Verdict'] = None; 1/0"
    assert pool.judge(written(spoil)) == stopped(Stop.CRASH)
    assert pool.judge(written("")) == PASSED
    # No descriptor of another file, of the template or of the service is open in it.
    listed = (
        "here = '/proc/self/fd/'\n"
        "links = [os.readlink(here + n) for n in os.listdir(here) if os.path.exists(here + n)]\n"
        "found['text'] = str(sorted(links))"
    )
    open_files = pool.judge(written(listed)).checks[0].found
    assert "socket:" not in open_files
    assert open_files.count("pipe:") == 0 or open_files.count("'pipe:") == 1
    # And nothing of the service's environment.
    assert "PATH" not in pool.judge(written("found['text'] = str(dict(os.environ))")).checks[0].found


def test_a_template_that_dies_is_started_again(template: Path, written: Callable[[str], Path]) -> None:
    with pool_of(template) as pool:
        assert pool.judge(written("")) == PASSED
        kill = "os.kill(os.getppid(), signal.SIGKILL); time.sleep(60)"
        assert pool.judge(written(kill)) == stopped(Stop.CRASH)
        assert pool.judge(written("")) == PASSED
        first = pool._template
        assert first is not None
        os.kill(first.pid, signal.SIGKILL)
        assert pool.judge(written("")) == PASSED, "a dead template costs nobody a verdict"
        assert pool._template is not first


def test_a_template_that_stands_still_is_replaced(
    template: Path, written: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vault.verification.pool._GRACE", -2.5)
    monkeypatch.setattr("vault.verification.pool._CLOSING", 0.1)
    with pool_of(template) as pool:
        pool.start()
        time.sleep(0.1)
        current = pool._template
        assert current is not None
        os.kill(current.pid, signal.SIGSTOP)
        monkeypatch.setattr("vault.verification.pool._TRIES", 1)
        assert pool.judge(written("")) == stopped(Stop.CRASH)
        monkeypatch.setattr("vault.verification.pool._GRACE", 10.0)
        assert pool.judge(written("")) == PASSED


def test_the_template_and_its_children_go_with_the_service(
    template: Path, written: Callable[[str], Path], tmp_path: Path
) -> None:
    mark = tmp_path / "pid"

    def ask() -> None:
        with pytest.raises(Unavailable):
            pool.judge(hang)

    hang = written(f"open({str(mark)!r}, 'w').write(str(os.getpid()))\nwhile True: time.sleep(1)")
    with pool_of(template) as pool:
        thread = threading.Thread(target=ask)
        thread.start()
        while not mark.exists() or not mark.read_text():
            time.sleep(0.01)
        child = int(mark.read_text())
        pool.close()
        thread.join(10)
        assert not thread.is_alive()
        with pytest.raises(ProcessLookupError):
            os.kill(child, 0)
        with pytest.raises(Unavailable):
            pool.judge(hang)


def test_a_machine_without_processes_is_no_fault_of_the_file(written: Callable[[str], Path]) -> None:
    with TemplatePool(lambda: Question(""), command=("/nowhere",)) as pool:
        assert pool.judge(written("")) == stopped(Stop.MEMORY)
    with TemplatePool(lambda: Question(""), command=("/bin/false",)) as pool:
        assert pool.judge(written("")) == stopped(Stop.CRASH)


def test_the_command_line_forks_for_itself(tmp_path: Path) -> None:
    assert judge_in_fork(lambda: PASSED, 0, LIMITS) == PASSED
    for work, stop in (
        (lambda: time.sleep(60), Stop.TIME),
        (lambda: bytearray(1 << 30), Stop.MEMORY),
        (os.abort, Stop.CRASH),
        (lambda: 1 / 0, Stop.CRASH),
    ):
        assert judge_in_fork(work, 0, LIMITS) == stopped(stop)  # type: ignore[arg-type]


def test_the_real_template_answers_as_the_engine_does(tmp_path: Path) -> None:
    data = Path(__file__).parents[1] / "data"
    question = Question("", at="2026-01-01T00:00:00Z")
    within: VerdictPool = InProcess(lambda: question)
    with TemplatePool(lambda: question) as pool:
        pool.start()
        for name in ("pdf-signed/dss-pades-bes.pdf", "pdf-signed/dss-hide.pdf"):
            inside, outside = within.judge(data / name), pool.judge(data / name)
            assert outside == inside
            assert outside.verdict is not Outcome.PASSED
        other = tmp_path / "hello"
        other.write_bytes(b"hello")
        assert [reason.code for reason in pool.judge(other).reasons] == ["NO_SIGNATURE_FOUND"]


def test_the_template_warms_up_on_a_file_that_passes() -> None:
    verdict = warm()
    assert verdict.verdict is Outcome.PASSED, verdict.reasons
    assert [each.form for each in verdict.signatures] == ["PKCS7"]


def test_a_verdict_that_is_none_is_refused() -> None:
    failed = Verdict(
        Outcome.FAILED,
        (Reason("HASH_FAILURE", "x: y"),),
        (SignatureFinding(Outcome.FAILED, "", "é", None, reasons=("HASH_FAILURE",)),),
        checks=(Check("x", Outcome.FAILED),),
    )
    for good in (PASSED, failed, stopped(Stop.TIME)):
        assert from_wire(to_wire(good)) == good
    text = to_wire(failed)
    for old, new in (
        (b'"verdict":"FAILED","reasons"', b'"verdict":"PASSED","reasons"'),
        (b'"verdict":"FAILED","reasons"', b'"verdict":"PENDING","reasons"'),
        (b'"code":"HASH_FAILURE"', b'"code":"hash failure"'),
        (b'"code":"HASH_FAILURE"', b'"code":1'),
        (b'"ledger":null', b'"ledger":{}'),
        (b'"ledger":null', b'"ledger":null,"more":1'),
        (b'"covers_whole_file":false', b'"covers_whole_file":0'),
        (b'"part":"document",', b""),
        (b'"outcome":"FAILED"', b'"outcome":"FINE"'),
        (b'"outcome":"FAILED"', b'"outcome":[]'),
        (b'"checks":[', b'"checks":[[],'),
        (b"}", b""),
    ):
        assert old in text
        with pytest.raises(WireRefused):
            from_wire(text.replace(old, new, 1))
    for nothing in (b"", b"null", b"[]", b"{}", b"[" * 100_000, to_wire(Verdict(Outcome.PASSED))):
        with pytest.raises(WireRefused):
            from_wire(nothing)
