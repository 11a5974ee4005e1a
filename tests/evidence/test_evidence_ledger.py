"""The status brought up to date from a published ledger: folder or address, honest, damaged or lying."""

from __future__ import annotations

import functools
import http.server
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from vault.evidence.ledger_source import LedgerSource, WebLedger, ledger_source
from vault.evidence.report import Outcome, Verdict
from vault.evidence.verify import verify_file
from vault.ledger.tags import new_key


class Story:
    """A document bundled early in a log that then grows beyond one tile."""

    def __init__(self, safe: Any, folder: Path) -> None:
        self.safe = safe
        self.document = safe.issue("registre")
        self.path = folder / "act.asice"
        self.path.write_bytes(safe.bundle(self.document))
        self.early = safe.log.publish(folder / "early")
        self.size = len(safe.log.entries)
        for _ in range(600):
            safe.log.append(new_key(), new_key())
        self.quiet = safe.log.publish(folder / "quiet")
        self.quiet_size = len(safe.log.entries)
        self.changed_at = safe.supersede(self.document, safe.issue("suite"))
        for _ in range(30):
            safe.log.append(new_key(), new_key())
        self.revoked_at = safe.revoke(self.document)
        self.changed = safe.log.publish(folder / "changed")

    def ask(self, ledger: LedgerSource | None, **changes: Any) -> Verdict:
        means = {"trust": self.safe.trust(), "policy": self.safe.log.policy(), "ledger": ledger}
        return verify_file(self.path, **{**means, **changes})


@pytest.fixture(scope="module")
def story(new_safe: Any, new_log: Any, safe: Any, tmp_path_factory: pytest.TempPathFactory) -> Story:
    return Story(new_safe(safe.pki, new_log()), tmp_path_factory.mktemp("story"))


@pytest.fixture
def copy(story: Story, tmp_path: Path) -> Path:
    return shutil.copytree(story.quiet, tmp_path / "copy")


def status(verdict: Verdict) -> tuple[str, int | None, str]:
    assert verdict.status is not None
    return verdict.status.value, verdict.status.as_of_size, verdict.status.source


def codes(verdict: Verdict) -> list[str]:
    return [reason.code for reason in verdict.reasons]


def test_no_news_is_news_of_a_larger_tree(story: Story) -> None:
    verdict = story.ask(ledger_source(str(story.quiet)))
    assert verdict.verdict is Outcome.PASSED, verdict.reasons
    assert status(verdict) == ("valid", story.quiet_size, "ledger")


def test_later_entries_are_found_by_tag(story: Story) -> None:
    verdict = story.ask(ledger_source(str(story.changed)))
    assert verdict.verdict is Outcome.PASSED
    assert status(verdict) == ("changed", len(story.safe.log.entries), "ledger")
    found = next(check.found for check in verdict.checks if check.name == "status")
    assert f"{story.changed_at}, {story.revoked_at}" in found


def test_the_folder_above_the_ledger_will_do(story: Story, tmp_path: Path) -> None:
    shutil.copytree(story.quiet, tmp_path / "data" / "ledger")
    assert status(story.ask(ledger_source(str(tmp_path / "data"))))[2] == "ledger"


def test_the_same_size_and_an_older_copy(story: Story, tmp_path: Path) -> None:
    assert status(story.ask(ledger_source(str(story.early)))) == ("valid", story.size, "ledger")
    fresh = tmp_path / "fresh.asice"
    fresh.write_bytes(story.safe.bundle(story.document))
    verdict = verify_file(
        fresh,
        trust=story.safe.trust(),
        policy=story.safe.log.policy(),
        ledger=ledger_source(str(story.quiet)),
    )
    assert verdict.verdict is Outcome.PASSED
    assert status(verdict) == ("revoked", len(story.safe.log.entries), "bundle")
    assert any("older than the bundle" in check.found for check in verdict.checks)


def test_partial_tiles_may_have_given_way_to_full_ones(story: Story, copy: Path) -> None:
    """A checkpoint read just before the tiles were collected."""
    for partial in [*copy.rglob("*.p")]:
        shutil.rmtree(partial)
    shutil.copytree(
        story.changed, copy, dirs_exist_ok=True, ignore=shutil.ignore_patterns("checkpoint", "*.p")
    )
    verdict = story.ask(ledger_source(str(copy)))
    if (story.changed / "tile/0/002").exists():
        assert status(verdict)[2] == "ledger"
    else:
        assert codes(verdict) == ["LEDGER_UNAVAILABLE"]


@pytest.mark.parametrize(
    "pattern", ["tile/0/000", "tile/1/000.p/*", "tile/0/002.p/*", "tile/entries/002.p/*"]
)
def test_a_damaged_copy_proves_nothing_against_the_bundle(pattern: str, story: Story, copy: Path) -> None:
    target = next(copy.glob(pattern))
    data = bytearray(target.read_bytes())
    data[len(data) // 2] ^= 1
    target.write_bytes(data)
    verdict = story.ask(ledger_source(str(copy)))
    assert verdict.verdict is Outcome.INDETERMINATE or status(verdict)[2] == "ledger"
    if verdict.verdict is Outcome.INDETERMINATE:
        assert codes(verdict) == ["LEDGER_DAMAGED"]
        assert status(verdict)[2] == "bundle"


def test_a_damaged_entry_after_the_bundle_is_noticed(story: Story, copy: Path) -> None:
    target = next(copy.glob("tile/entries/002.p/*"))
    data = bytearray(target.read_bytes())
    data[40] ^= 1
    target.write_bytes(data)
    verdict = story.ask(ledger_source(str(copy)))
    assert (verdict.verdict, codes(verdict)) == (Outcome.INDETERMINATE, ["LEDGER_DAMAGED"])


@pytest.mark.parametrize("pattern", ["checkpoint", "tile/entries/001", "tile/1/000.p/*"])
def test_a_missing_file(pattern: str, story: Story, copy: Path) -> None:
    next(copy.glob(pattern)).unlink()
    verdict = story.ask(ledger_source(str(copy)))
    assert (verdict.verdict, codes(verdict)) == (Outcome.INDETERMINATE, ["LEDGER_UNAVAILABLE"])


def test_a_checkpoint_that_the_policy_refuses(story: Story, copy: Path, new_log: Any) -> None:
    (copy / "checkpoint").write_bytes(new_log("other.example/1").checkpoint())
    assert codes(story.ask(ledger_source(str(copy)))) == ["LOG_UNKNOWN"]
    (copy / "checkpoint").write_bytes(new_log().checkpoint())
    assert codes(story.ask(ledger_source(str(copy)))) == ["LOG_SIGNATURE_MISSING"]
    (copy / "checkpoint").write_bytes(b"x" * 100)
    verdict = story.ask(ledger_source(str(copy)))
    assert (verdict.verdict, codes(verdict)) == (Outcome.INDETERMINATE, ["LEDGER_DAMAGED"])


def test_two_histories_under_one_key_are_a_lie(story: Story, new_log: Any, tmp_path: Path) -> None:
    fork = new_log()
    fork.keys = story.safe.log.keys
    for _ in range(700):
        fork.append(new_key(), new_key())
    verdict = story.ask(ledger_source(str(fork.publish(tmp_path / "fork"))))
    assert (verdict.verdict, codes(verdict)) == (Outcome.FAILED, ["LOG_INCONSISTENT"])


def test_without_keys_the_ledger_is_not_asked(story: Story) -> None:
    verdict = story.ask(ledger_source(str(story.quiet)), policy=None)
    assert set(codes(verdict)) == {"LOG_UNKNOWN"}
    assert status(verdict) == ("valid", None, "bundle")


# ---- over the web


@pytest.fixture
def served(story: Story) -> Iterator[Callable[[Path], str]]:
    servers: list[http.server.ThreadingHTTPServer] = []

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    def serve(folder: Path) -> str:
        server = http.server.ThreadingHTTPServer(
            ("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder))
        )
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_address[1]}"

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


def test_over_the_web(story: Story, served: Callable[[Path], str], copy: Path) -> None:
    address = served(story.changed)
    assert status(story.ask(ledger_source(address)))[0] == "changed"
    assert status(story.ask(ledger_source(address + "/")))[0] == "changed"
    (copy / "tile/entries/001").unlink()
    assert codes(story.ask(ledger_source(served(copy)))) == ["LEDGER_UNAVAILABLE"]


def test_nobody_answers(story: Story) -> None:
    with_nobody = WebLedger("http://127.0.0.1:9", timeout=2)
    assert codes(story.ask(with_nobody)) == ["LEDGER_UNAVAILABLE"]


def test_what_is_no_ledger(tmp_path: Path) -> None:
    for place in ("ftp://log.example/", "file:///etc", str(tmp_path / "nowhere")):
        with pytest.raises(ValueError, match=r"not an http|no such folder"):
            ledger_source(place)


def test_a_file_without_end_is_not_read_to_the_end(story: Story, copy: Path) -> None:
    (copy / "checkpoint").write_bytes(b"x" * (1 << 20))
    assert codes(story.ask(ledger_source(str(copy)))) == ["LEDGER_UNAVAILABLE"]
