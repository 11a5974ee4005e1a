"""The command line, as a stranger uses it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from vault.cli.main import build
from vault.documents.typesetting import BUILT_IN, specimen_data
from vault.ledger.keys import LedgerKeys

app = build()
runner = CliRunner()


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("demo") / "demo"
    result = runner.invoke(app, ["demo", "--out", str(out), "--no-serve"])
    assert result.exit_code == 0, result.output
    return out


def run(*words: str | Path) -> tuple[int, str]:
    result = runner.invoke(app, [str(word) for word in words])
    return result.exit_code, result.output


def trust(demo: Path) -> tuple[str, ...]:
    return ("--trust", str(demo / "trust/roots.pem"), "--vkeys", str(demo / "trust/ledger.vkeys"))


def test_the_demo_leaves_what_the_design_names(demo: Path) -> None:
    names = {str(file.relative_to(demo)) for file in demo.rglob("*") if "data" not in file.parts}
    assert names >= {
        "act.pdf", "act.asice", "attachment.asice", "story.json",
        "trust/roots.pem", "trust/ledger.vkeys", "trust/ledger.policy",
    }  # fmt: skip
    story = json.loads((demo / "story.json").read_text())
    assert set(story["documents"]) == {"act", "photo", "xml"}


def test_a_second_run_gives_the_same_documents(demo: Path) -> None:
    before = (demo / "story.json").read_text()
    code, output = run("demo", "--out", demo, "--no-serve")
    assert (code, (demo / "story.json").read_text()) == (0, before), output


def test_verify_says_what_it_knows(demo: Path) -> None:
    code, output = run("verify", demo / "act.asice", *trust(demo), "--json")
    verdict = json.loads(output)
    assert (code, verdict["verdict"], verdict["status"]["value"]) == (0, "PASSED", "valid")
    assert set(verdict) == {"verdict", "reasons", "signatures", "ledger", "status", "checks"}
    code, output = run("verify", demo / "act.pdf", *trust(demo), "--json")
    verdict = json.loads(output)
    assert (code, verdict["verdict"], verdict["ledger"], verdict["status"]["source"]) == (
        0,
        "PASSED",
        None,
        "none",
    )
    code, output = run("verify", demo / "act.asice", *trust(demo), "--original", demo / "act.pdf")
    assert code == 0, output
    code, output = run(
        "verify", demo / "attachment.asice", *trust(demo), "--original", demo / "act.pdf", "--json"
    )
    assert (code, json.loads(output)["verdict"]) == (1, "FAILED")


def test_verify_policy_file_and_published_ledger(demo: Path) -> None:
    words = ("--trust", demo / "trust/roots.pem", "--policy", demo / "trust/ledger.policy")
    code, output = run("verify", demo / "act.asice", *words, "--ledger", demo / "data/ledger", "--json")
    assert (code, json.loads(output)["status"]["source"]) == (0, "ledger"), output


def test_verify_without_trust_is_indeterminate_and_usage_errors_are_two(demo: Path, tmp_path: Path) -> None:
    code, output = run("verify", demo / "act.pdf", "--json")
    assert (code, json.loads(output)["verdict"]) == (3, "INDETERMINATE")
    assert run("verify", tmp_path / "absent.pdf")[0] == 2
    assert run("verify", demo / "act.pdf", "--trust", demo / "act.pdf")[0] == 2
    assert run("issue", demo / "act.pdf", "--data", tmp_path)[0] == 2


def test_issue_deposit_and_offline_bundle(demo: Path, tmp_path: Path) -> None:
    data = demo / "data"
    code, output = run("deposit", demo / "story.json", "--data", data, "--title", "Récit")
    assert code == 0, output
    identifier = output.split()[0]
    target = tmp_path / "story.asice"
    code, output = run("bundle", identifier, "--data", data, "--out", target)
    assert code == 0, output
    code, output = run("verify", target, *trust(demo), "--json")
    verdict = json.loads(output)
    assert (code, verdict["verdict"]) == (0, "PASSED"), output
    assert len(verdict["signatures"]) == 1
    code, output = run("issue", demo / "story.json", "--data", data, "--holder", "nobody")
    assert code == 1
    assert "UNKNOWN_HOLDER" in output


def test_an_administration_issues_from_its_own_template(
    demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "templates"
    shutil.copytree(BUILT_IN / "attestation", folder / "attestation-de-residence")
    fields = tmp_path / "residence.json"
    fields.write_text(json.dumps(specimen_data("attestation")))
    words = ("issue", fields, "--data", demo / "data", "--template", "attestation-de-residence")
    code, output = run(*words)
    assert (code, "UNKNOWN_TEMPLATE" in output) == (1, True)
    monkeypatch.setenv("PROBANS_TEMPLATES", str(folder))
    code, output = run(*words)
    assert code == 0, output
    assert "sealed" in output


def test_unknown_people_are_told_in_words(demo: Path) -> None:
    code, output = run("deposit", demo / "story.json", "--data", demo / "data", "--holder", "nobody")
    assert (code, "UNKNOWN_HOLDER" in output) == (1, True)


def test_recover_on_a_healthy_safe_changes_nothing(demo: Path) -> None:
    code, output = run("recover", "--data", demo / "data")
    assert code == 0, output
    assert output.startswith("0 inscriptions")


def test_audit_finds_a_changed_octet_and_says_where(demo: Path, tmp_path: Path) -> None:
    data = demo / "data"
    code, output = run("audit", data)
    assert (code, output.count("everything holds")) == (0, 6), output
    copy = tmp_path / "ledger"
    shutil.copytree(data / "ledger", copy)
    assert run("audit", copy)[0] == 2
    assert run("audit", copy, "--vkeys", demo / "trust/ledger.vkeys")[0] == 0
    stranger = tmp_path / "other.vkeys"
    stranger.write_text("\n".join(LedgerKeys.new("other.example/ledger/1").vkeys))
    code, output = run("audit", copy, "--vkeys", stranger)
    assert (code, "unknown ledger" in output) == (3, True), output
    bundle = max((copy / "tile/entries/000.p").iterdir(), key=lambda file: int(file.name))
    content = bytearray(bundle.read_bytes())
    content[-3] ^= 1
    bundle.chmod(0o600)
    bundle.write_bytes(content)
    code, output = run("audit", copy, "--vkeys", demo / "trust/ledger.vkeys", "--json")
    report = json.loads(output)["published"]
    assert (code, report["ok"]) == (1, False)
    assert report["problems"][0]["where"]


def test_the_exit_code_is_the_verdict_even_when_only_the_first_line_is_read(demo: Path) -> None:
    command = [
        sys.executable,
        "-c",
        "from vault.cli.main import run; run()",
        "verify",
        str(demo / "act.asice"),
    ]
    with subprocess.Popen([*command, *trust(demo)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.wait(60) == 0
