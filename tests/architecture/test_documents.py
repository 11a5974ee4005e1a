"""What the documents say is there: links, files, commands, dependencies; and nothing of one machine is anywhere."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import shlex
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer

from vault.cli.main import build

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
DEPENDENCIES = ROOT / "docs" / "adr" / "0002-dependencies.md"
# Made by tools or runs, never tracked.
NOT_OURS = {
    *(".git", ".venv", ".cache", ".hypothesis", "__pycache__", "demo", "build", "dist", "target"),
    *(".pytest_cache", ".mypy_cache", ".ruff_cache", ".import_linter_cache", "node_modules", ".benchmarks"),
}
# Files of others, kept byte for byte.
FOREIGN = ("tests/data/", "tests/vectors/", "api/web/static/", "LICENSE")
# Folders of one machine, private networks, names that only one network knows.
PRIVATE = re.compile(
    r"(?<![\w.~$}{])/(?:root|work|workspace|home|Users|mnt|media)/\w"
    r"|\b[A-Z]:\\\\?Users\b"
    r"|\b(?:10\.\d{1,3}|192\.168|172\.(?:1[6-9]|2\d|3[01]))\.\d{1,3}\.\d{1,3}\b"
    r"|\bhttps?://[\w.-]+\.(?:internal|intranet|corp|lan|local)\b"
    r"|--(?:extra-)?index-url\b"
)
# The network that the compose file itself makes.
OWN_NETWORK = ("deploy/", "172.28.")
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
NAMED_FILE = re.compile(
    r"`((?:vault|signing|timestamping|storage|identity|plumbing|api|tools|tests|docs)/[\w./-]*)`"
)
EXAMPLES = {"vault/db/migrations/versions/NNNN_what.py"}
RESTRICTIVE = re.compile(r"\b[AL]?GPL|General Public License", re.IGNORECASE)


def files() -> Iterator[Path]:
    """Every file of the repository that is ours or kept."""

    def walk(folder: Path) -> Iterator[Path]:
        for path in sorted(folder.iterdir()):
            if path.name in NOT_OURS or path.name.endswith(".egg-info") or path.is_symlink():
                continue
            if path.is_dir():
                yield from walk(path)
            else:
                yield path

    return walk(ROOT)


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def pages() -> tuple[Path, ...]:
    """Every Markdown file of ours."""
    return tuple(path for path in files() if path.suffix == ".md" and not name(path).startswith(FOREIGN[2:]))


def anchors(text: str) -> set[str]:
    """Fragment identifiers that GitHub gives the headings."""
    headings = re.findall(r"^#+ +(.+?) *$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(page: Path) -> list[str]:
    broken = []
    for target in LINK.findall(page.read_text("utf-8")):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, fragment = target.partition("#")
        found = page.parent / path if path else page
        if not found.exists() or (fragment and fragment not in anchors(found.read_text("utf-8"))):
            broken.append(target)
    return broken


@pytest.mark.parametrize("page", pages(), ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    assert broken_links(page) == []


def test_a_broken_link_would_be_seen(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# A title\n[a](page.md#a-title) [b](absent.md) [c](#nothing) [d](https://example.org)")
    assert broken_links(page) == ["absent.md", "#nothing"]


@pytest.mark.parametrize("page", pages(), ids=name)
def test_files_named_in_documents_exist(page: Path) -> None:
    named = set(NAMED_FILE.findall(page.read_text("utf-8"))) - EXAMPLES
    assert {path for path in named if not (ROOT / path).exists()} == set()


def shell_lines() -> Iterator[tuple[str, str]]:
    """(page, command) of every shell block and every inline `make …` or `probans …`."""
    for page in pages():
        text = page.read_text("utf-8")
        for block in re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
            yield from ((name(page), line.partition(" #")[0]) for line in block.splitlines())
        yield from ((name(page), line) for line in re.findall(r"`((?:make|probans) [^`]+)`", text))


def targets() -> set[str]:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    return set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))


@cache
def commands() -> dict[str, Any]:
    return dict(typer.main.get_command(build()).commands)  # type: ignore[attr-defined]


def problem_of(line: str) -> str | None:
    """Say what of a command line does not exist; None when all does."""
    words = shlex.split(line)
    if not words:
        return None
    if words[0] == "make":
        wanted = next((word for word in words[1:] if "=" not in word and not word.startswith("-")), None)
        return None if wanted in targets() else f"no target {wanted}"
    if Path(words[0]).name != "probans" or "=" in words[0]:
        return None
    command = commands().get(words[1])
    if command is None:
        return f"no command {words[1]}"
    if subcommands := getattr(command, "commands", None):
        command = subcommands.get(words[2]) if len(words) > 2 else None
        if command is None:
            return f"no command {' '.join(words[1:3])}"
    options = {option for param in command.params for option in (*param.opts, *param.secondary_opts)}
    absent = [word for word in words[2:] if word.startswith("--") and word.split("=")[0] not in options]
    return f"no option {absent[0]}" if absent else None


def test_commands_in_documents_exist() -> None:
    lines = list(shell_lines())
    assert {"make demo", "make test"} <= {
        " ".join(line.split()[:2]) for page, line in lines if page == "README.md"
    }
    problems = [(page, line, problem_of(line)) for page, line in lines]
    assert [found for found in problems if found[2]] == []


@pytest.mark.parametrize("line", ["make coffee", "probans brew x", "probans verify a.pdf --believe me"])
def test_an_invented_command_would_be_seen(line: str) -> None:
    assert problem_of(line)


def declared(*groups: str) -> list[str]:
    lists = {"run": PROJECT["dependencies"], **PROJECT["optional-dependencies"]}
    return [re.split(r"[ ;<>=!~\[]", item)[0] for group in groups for item in lists[group]]


def test_every_dependency_has_its_line() -> None:
    lines = re.findall(r"^\| `([\w-]+)` \| ([^|]+) \|", DEPENDENCIES.read_text("utf-8"), re.MULTILINE)
    assert sorted(dependency for dependency, _ in lines) == sorted(declared("run", "dev"))


def test_stated_licences_are_those_of_the_distributions() -> None:
    lines = re.findall(r"^\| `([\w-]+)` \| ([^|]+) \|", DEPENDENCIES.read_text("utf-8"), re.MULTILINE)
    for dependency, stated in lines:
        expression = importlib.metadata.metadata(dependency).get("License-Expression")
        if expression:
            assert stated.strip() == expression, dependency


# One name that several distributions share: each brings a part of it.
SHARED = {
    "opentelemetry.exporter.otlp.proto.http": "opentelemetry-exporter-otlp-proto-http",
    "opentelemetry.sdk": "opentelemetry-sdk",
    "opentelemetry": "opentelemetry-api",
}


def _module(item: str) -> str:
    """Return what names the distribution of an imported module: its first name, or more of it where that is shared."""
    return next((each for each in SHARED if f"{item}.".startswith(f"{each}.")), item.partition(".")[0])


def test_what_is_imported_is_declared_and_the_other_way_round() -> None:
    providers = importlib.metadata.packages_distributions()
    own = {"api", "vault", "signing", "timestamping", "storage", "identity", "plumbing"}
    used: set[str] = set()
    for path in (path for package in own for path in (ROOT / package).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
            used |= {_module(item) for item in names if item.partition(".")[0] not in own}
    distributions = {
        SHARED.get(module) or providers[module][0].lower().replace("_", "-")
        for module in used - sys.stdlib_module_names - {"__future__"}
    }
    assert distributions == set(declared("run", "postgresql", "s3", "hsm", "traces"))


def licence_words(distribution: str) -> str:
    metadata = importlib.metadata.metadata(distribution)
    classifiers = [item for item in metadata.get_all("Classifier") or [] if item.startswith("License")]
    licence = (metadata.get("License") or "").split("\n")[0]
    return " ".join([metadata.get("License-Expression") or "", licence, *classifiers])


def needed(distributions: list[str]) -> set[str]:
    """The distributions and everything they need that is installed."""
    found: set[str] = set()
    waiting = list(distributions)
    while waiting:
        item = waiting.pop()
        if item.lower().replace("_", "-") in found:
            continue
        try:
            requires = importlib.metadata.requires(item) or []
        except importlib.metadata.PackageNotFoundError:
            continue
        found.add(item.lower().replace("_", "-"))
        waiting += [re.split(r"[ ;<>=!~\[(]", line)[0] for line in requires if "extra ==" not in line]
        # Extras that are asked for: of psycopg alone, whose pool comes with procrastinate.
        waiting += ["psycopg-pool" for line in requires if line.startswith("psycopg[pool]")]
    return found


def test_nothing_that_we_import_is_under_the_gpl() -> None:
    everything = needed(declared("run", "dev", "postgresql", "hsm", "traces"))
    assert {"cryptography", "starlette", "pikepdf", "certifi"} <= everything
    # The lesser licence lets a library be used unchanged; its line says so.
    assert {item for item in everything if RESTRICTIVE.search(licence_words(item))} == {
        "psycopg",
        "psycopg-pool",
    }
    assert "LGPL" in licence_words("psycopg")
    assert "psycopg" not in needed(declared("run"))


def private_words(text: str) -> list[str]:
    return [match[0] for match in PRIVATE.finditer(text)]


def test_nothing_of_one_machine_is_in_the_repository() -> None:
    found = {}
    for path in files():
        if name(path).startswith(FOREIGN):
            continue
        try:
            text = path.read_text("utf-8")
        except UnicodeDecodeError:
            continue
        own = name(path).startswith(OWN_NETWORK[0])
        if words := [word for word in private_words(text) if not (own and word.startswith(OWN_NETWORK[1]))]:
            found[name(path)] = words
    assert found == {}


@pytest.mark.parametrize(
    "text",
    [
        "see " + "/ho" + "me/ada/x",
        "cd " + "/ro" + "ot/probans",
        "http://git." + "corp/x",
        "at 192." + "168.1.7",
        "--index" + "-url x",
    ],
)
def test_what_belongs_to_one_machine_would_be_seen(text: str) -> None:
    assert private_words(text)
