"""The shape of the code: who imports whom, how long modules are, where errors, settings and backends live."""

from __future__ import annotations

import ast
import importlib
import inspect
import io
import re
import subprocess
import sys
import tokenize
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("api", "vault", "signing", "timestamping", "storage", "identity", "plumbing")
MOST_LINES = 400
# The folder it runs in comes first on the path, before the installed packages.
LINT = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as run; run()"]
UNFINISHED = re.compile(r"\b(?:TODO|FIXME|XXX|HACK)\b")
# Backends, authorities and key material: chosen in vault.bootstrap and, for the reasons given, named here.
BACKEND = re.compile(
    r"(?:storage\.(?:filesystem|memory|s3|keys)|signing\.dev_pki|timestamping\.(?:rfc3161|authority|verify)"
    r"|identity\.(?:oidc|embedded))\w*"
)
NAMED_ELSEWHERE = {
    "vault.backends.stores": {"storage.filesystem"},  # parts of bootstrap
    "vault.backends.s3": {"storage.s3", "storage.s3_buckets"},
    "vault.backends.keys": {"signing.dev_pki", "storage.keys"},
    "vault.backends.tsa": {"timestamping.authority", "timestamping.rfc3161", "timestamping.verify"},
    "api.web.dev_provider": {"identity.embedded"},  # serves what bootstrap opened
    "vault.people.identities": {"identity.embedded"},  # type of what bootstrap opens, and who is made up
    "vault.sealing.dating": {"timestamping.authority"},  # type of what bootstrap opened
    "vault.service": {"timestamping.authority"},  # type of what bootstrap opened
    "vault.ledger.anchor_audit": {
        "timestamping.verify"
    },  # offline verification, from the auditor's own anchors
    "vault.evidence.verify_alone": {"timestamping.verify"},  # takes a token out of an authority's answer
    "vault.evidence.means": {"timestamping.verify"},  # offline verification, from the verifier's own anchors
}


@cache
def modules() -> dict[str, ast.Module]:
    """Every module of the product by name."""
    found = {}
    for path in sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts).removesuffix(".__init__")] = ast.parse(path.read_text("utf-8"), str(path))
    return found


def file_of(module: str) -> Path:
    path = ROOT.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def imports(tree: ast.Module) -> Iterator[str]:
    """Names of imported modules, wherever the import stands; `from a import b` gives `a` and `a.b`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{name.name}" for name in node.names)


def reads_environment(tree: ast.Module) -> bool:
    """True when the module touches the environment, or the library that reads it for us."""
    names = {"environ", "environb", "getenv", "getenvb", "putenv"}
    return any(
        (isinstance(node, ast.Attribute) and node.attr in names)
        or (isinstance(node, ast.ImportFrom) and node.module == "os" and {a.name for a in node.names} & names)
        for node in ast.walk(tree)
    ) or any(name.partition(".")[0] in {"pydantic_settings", "dotenv", "decouple"} for name in imports(tree))


def test_imports_go_one_way() -> None:
    done = subprocess.run(
        [*LINT, "--no-cache", "--no-logo"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 kept, 0 broken" in done.stdout


def test_a_sideways_import_would_be_seen(tmp_path: Path) -> None:
    contract = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"][
        "contracts"
    ][0]
    for package in PACKAGES:
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text("import storage\n" if package == "signing" else "")
    lines = ["[importlinter]", "root_packages =", *(f"  {package}" for package in PACKAGES)]
    lines += ["[importlinter:contract:one]", f"name = {contract['name']}", "type = layers", "layers ="]
    lines += [f"  {layer}" for layer in contract["layers"]]
    (tmp_path / ".importlinter").write_text("\n".join(lines))
    done = subprocess.run(
        [*LINT, "--no-cache", "--no-logo"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "signing is not allowed to import storage" in done.stdout


def test_modules_stay_short() -> None:
    lengths = {name: len(file_of(name).read_text("utf-8").splitlines()) for name in modules()}
    assert {name: lines for name, lines in lengths.items() if lines > MOST_LINES} == {}


@pytest.mark.parametrize("package", ["vault", "signing", "timestamping", "storage", "identity"])
def test_every_error_of_a_package_has_a_code(package: str) -> None:
    errors = importlib.import_module(f"{package}.errors")
    own = [
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, Exception) and kind.__module__ == errors.__name__
    ]
    roots = [kind for kind in own if kind.__bases__ == (Exception,)]
    assert len(roots) == 1, "one tree"
    assert all(issubclass(kind, roots[0]) for kind in own)
    assert all(inspect.getdoc(kind) for kind in own)
    for kind in own:
        given = "code" in inspect.signature(kind.__init__).parameters
        assert given or re.fullmatch(r"[A-Z][A-Z0-9_]+", kind.code), kind


def test_exceptions_outside_the_trees_are_few() -> None:
    """Each of them is caught inside its package, below api; a new one belongs into the package's tree."""
    signals = {
        "vault.files.pdf_guard.MemoryGrew",
        "timestamping.der.DerError",
        "timestamping.messages.RequestRefused",
    }
    trees = tuple(
        importlib.import_module(f"{package}.errors").__dict__[name]
        for package, name in (
            ("vault", "VaultError"),
            ("signing", "SigningError"),
            ("timestamping", "TimestampingError"),
            ("storage", "StorageError"),
            ("identity", "IdentityError"),
        )
    )
    found = set()
    for name, tree in modules().items():
        if name.startswith("api"):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef) and node.bases:
                kind = getattr(importlib.import_module(name), node.name, None)
                if isinstance(kind, type) and issubclass(kind, BaseException) and not issubclass(kind, trees):
                    found.add(f"{name}.{node.name}")
    assert found <= signals


def test_only_settings_read_the_environment() -> None:
    assert {name for name, tree in modules().items() if reads_environment(tree)} == {"vault.settings"}


@pytest.mark.parametrize(
    "source",
    [
        "import os\nos.environ['X']",
        "from os import getenv",
        "import os\nos.getenv('X')",
        "import pydantic_settings",
    ],
)
def test_reading_the_environment_would_be_seen(source: str) -> None:
    assert reads_environment(ast.parse(source))


def backends(tree: ast.Module) -> set[str]:
    return {match[0] for name in imports(tree) if (match := BACKEND.match(name))}


def test_only_bootstrap_chooses_backends() -> None:
    chosen = {name: backends(tree) for name, tree in modules().items() if name.startswith(("vault.", "api."))}
    assert chosen.pop("vault.bootstrap")
    assert {name: found for name, found in chosen.items() if found} == NAMED_ELSEWHERE


def test_choosing_a_backend_would_be_seen() -> None:
    assert backends(ast.parse("def f():\n    from storage.filesystem_log import FilesystemLogStore")) == {
        "storage.filesystem_log"
    }
    assert backends(ast.parse("from storage import memory")) == {"storage.memory"}


def test_nothing_is_left_unfinished() -> None:
    folders = (*PACKAGES, "tools", "benchmarks")
    found = []
    for path in sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py")):
        text = path.read_text("utf-8")
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type in {tokenize.COMMENT, tokenize.STRING} and UNFINISHED.search(token.string):
                found.append(f"{path.relative_to(ROOT)}:{token.start[0]}")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Raise) and "NotImplementedError" in ast.unparse(node):
                found.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert found == []


def test_product_code_has_no_mock() -> None:
    used = {name for name, tree in modules().items() for item in imports(tree) if item.startswith("unittest")}
    assert used == set()
