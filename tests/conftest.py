"""What every test shares: the markers `needs` and `soak`, the hypothesis profiles.

`needs(name)`: the test asks an independent program. If that is not found, the test is deselected, and the end
of the run lists it with the command to install; with `PROBANS_REQUIRE=all` the run stops instead: a machine
meant to have every judge cannot pass by leaving them out. `soak(name)`: deselected unless `--soak NAME`.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.services import clamd, nginx, oidc_provider, postgresql, softhsm, versitygw

JUDGES = Path(__file__).resolve().parents[1] / ".cache" / "judges"
MISSING = pytest.StashKey[Counter[str]]()

settings.register_profile("dev", deadline=None, suppress_health_check=[HealthCheck.too_slow])
# Two runs of one commit give the same verdict; the search for new examples is left to `dev` and the soaks.
settings.register_profile("ci", settings.get_profile("dev"), derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "dev")


def _answers(*command: str, at_least: int = 0) -> bool:
    """True if the program runs, ends well and names a major version of `at_least` or more (0: any)."""
    if shutil.which(command[0]) is None:
        return False
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    found = re.search(r"(\d+)\.\d+", done.stdout + done.stderr)
    return done.returncode == 0 and (not at_least or (found is not None and int(found[1]) >= at_least))


def _judge(jar: str) -> bool:
    return (JUDGES / jar).is_file() and shutil.which("java") is not None


def _built(name: str) -> bool:
    return (JUDGES / name).is_file()


NEEDS: dict[str, Callable[[], bool]] = {
    "qpdf": partial(_answers, "qpdf", "--version", at_least=11),
    "pdfsig": partial(_answers, "pdfsig", "-v", at_least=22),
    "openssl": partial(_answers, "openssl", "version", at_least=3),
    "unzip": partial(_answers, "unzip", "-v", at_least=6),
    # Being installed is not enough: some containers forbid tracing.
    "strace": partial(_answers, "strace", "-o", os.devnull, "true"),
    "unshare": partial(_answers, "unshare", "-rn", "true"),
    "dss": partial(_judge, "dss.jar"),
    "verapdf": partial(_judge, "verapdf.jar"),
    "postgresql": postgresql.installed,
    "clamd": clamd.installed,
    "softhsm2": softhsm.installed,
    "nginx": lambda: nginx.PROGRAM is not None,
    "systemd-analyze": partial(_answers, "systemd-analyze", "--version"),
    "hadolint": partial(_built, "hadolint/version"),
    "compose-check": partial(_built, "compose-check"),
    "versitygw": partial(versitygw.installed, versitygw.NEWEST),
    "versitygw-1.7.0": partial(versitygw.installed, versitygw.SHORTENS),
    # It holds its key in an SSH agent.
    "litewitness": lambda: (JUDGES / "litewitness").is_file() and shutil.which("ssh-agent") is not None,
    "tessera-fsck": partial(_built, "tessera-fsck"),
    "tessera-bench": partial(_built, "tessera-bench"),
    "load-client": partial(_built, "load-client"),
    "tlog-scales": partial(_built, "tlog-scales/version"),
    "aics-tlog": partial(_built, "aics-tlog/version"),
    "oidc-provider": lambda: (
        _built("oidc-provider/version") and _answers(str(oidc_provider.NODE), "--version", at_least=20)
    ),
}
# Wants a newer Python than the product: `all` does not ask for it, and tools/install.sh says when it is left out.
NOT_EVERYWHERE = {"aics-tlog"}


@cache
def available(name: str) -> bool:
    """True if the service or judge `name` is here; unknown names are a usage error."""
    if name not in NEEDS:
        raise pytest.UsageError(
            f"needs({name!r}): unknown name; tests/conftest.py lists {', '.join(sorted(NEEDS))}"
        )
    return NEEDS[name]()


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[postgresql.Server]:
    """One server for each process that runs tests, started when the first of them wants it."""
    server = postgresql.Server()
    yield server
    server.remove()


@pytest.fixture(scope="session")
def versitygw_server() -> Iterator[versitygw.Gateway]:
    """One gateway for each process that runs tests; tests make buckets of their own."""
    gateway = versitygw.Gateway()
    yield gateway
    gateway.remove()


@pytest.fixture(scope="session")
def softhsm_tokens() -> Iterator[softhsm.Tokens]:
    """One folder of tokens for each process that runs tests; tests make tokens of their own."""
    tokens = softhsm.Tokens()
    yield tokens
    tokens.close()


@pytest.fixture(scope="session")
def clamd_daemon() -> Iterator[clamd.Daemon]:
    """One daemon for each process that runs tests; tests that stop it or give it signatures start their own."""
    daemon = clamd.Daemon("StreamMaxLength 8M")
    yield daemon
    daemon.remove()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.needs("postgresql"))])
def each_database(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Run the test on each kind of database: the safe that it opens, and those at `postgresql.address`."""
    if request.param == "sqlite":
        yield "sqlite"
        return
    server: postgresql.Server = request.getfixturevalue("postgresql_server")
    monkeypatch.setenv(postgresql.CHOSEN, str(server.folder))
    monkeypatch.setenv("PROBANS_DATABASE_URL", server.create("safe"))
    yield "postgresql"
    for name in server.databases():
        server.drop(name)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--soak", action="append", default=[], metavar="NAME", help="also run the soak(NAME) tests"
    )


def pytest_configure(config: pytest.Config) -> None:
    config.stash[MISSING] = Counter()
    required = os.environ.get("PROBANS_REQUIRE", "")
    everything = sorted(NEEDS.keys() - NOT_EVERYWHERE)
    names = everything if required == "all" else [name for name in required.split(",") if name]
    absent = [name for name in names if not available(name)]
    if absent:
        wanted = " ".join(absent)
        raise pytest.UsageError(
            f"PROBANS_REQUIRE={required}: not found: {wanted} (tools/install.sh {wanted})"
        )


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    kept: list[pytest.Item] = []
    dropped: list[pytest.Item] = []
    for item in items:
        needed = [name for mark in item.iter_markers("needs") for name in mark.args]
        missing = [name for name in needed if not available(name)]
        soaks = [name for mark in item.iter_markers("soak") for name in mark.args]
        left_out = bool(soaks) and not set(soaks) & set(config.getoption("--soak"))
        if missing and not left_out:
            config.stash[MISSING].update(f"{name} {item.nodeid.partition('::')[0]}" for name in missing)
        (dropped if missing or left_out else kept).append(item)
    if dropped:
        items[:] = kept
        config.hook.pytest_deselected(items=dropped)
    if hasattr(config, "workeroutput"):
        config.workeroutput["probans_missing"] = dict(config.stash[MISSING])


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Under xdist only workers collect, each one everything."""
    told: Counter[str] = node.config.stash[MISSING]
    told |= Counter(getattr(node, "workeroutput", {}).get("probans_missing", {}))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    reports = [report for report in terminalreporter.stats.get("passed", []) if report.when == "call"]
    figures = [text for report in reports for name, text in report.user_properties if name == "figure"]
    if figures:
        terminalreporter.section("figures")
        for text in figures:
            terminalreporter.write_line(text)
    missing = config.stash[MISSING]
    if missing:
        terminalreporter.ensure_newline()
        terminalreporter.section("deselected: what they need was not found")
        for key, count in sorted(missing.items()):
            name, path = key.split(" ", 1)
            terminalreporter.write_line(f"{name:10} {count:4} test{'s' if count > 1 else ' '} in {path}")
        names = sorted({key.split(" ", 1)[0] for key in missing})
        terminalreporter.write_line(f"To install and run them: tools/install.sh {' '.join(names)}")
