"""What deploy/ holds is what independent tools call valid, hardened throughout, and made of settings that exist."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from vault.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
DEPLOY, JUDGES = ROOT / "deploy", ROOT / ".cache" / "judges"
UNITS = ("probans-web.service", "probans-worker.service")
# What the images' own entry points need beyond nothing.
CAPABILITIES = {"scanner": {"CHOWN", "SETGID", "SETUID"}}
# Its image drops to its own user by itself, and signatures come from outside.
USERS_OF_THEIR_OWN = {"scanner"}


@pytest.fixture(scope="module")
def composed() -> dict[str, Any]:
    """The compose file as the reference implementation reads it."""
    command = [JUDGES / "compose-check", "-format", "json", str(DEPLOY / "compose.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    read: dict[str, Any] = json.loads(done.stdout)
    return read


@pytest.mark.needs("compose-check")
class TestCompose:
    def test_every_part_is_there(self, composed: dict[str, Any]) -> None:
        assert set(composed["services"]) == {
            "proxy", "web", "worker", "prepare", "database", "standby", "store", "scanner",
        }  # fmt: skip

    def test_every_service_is_hardened(self, composed: dict[str, Any]) -> None:
        for name, service in composed["services"].items():
            assert service["read_only"] is True, name
            assert service["cap_drop"] == ["ALL"], name
            assert set(service.get("cap_add", ())) == CAPABILITIES.get(name, set()), name
            assert "no-new-privileges:true" in service["security_opt"], name
            assert not service.get("privileged"), name
            limits = service["deploy"]["resources"]["limits"]
            assert {"cpus", "memory", "pids"} <= set(limits), name
            if name not in USERS_OF_THEIR_OWN:
                user = service["user"].split(":")[0]
                assert user.isdigit(), name
                assert int(user) > 0, name

    def test_whatever_answers_others_says_whether_it_is_well(self, composed: dict[str, Any]) -> None:
        for name, service in composed["services"].items():
            assert ("healthcheck" in service) == (name not in {"prepare", "worker"}), name

    def test_only_the_proxy_is_reached_from_outside(self, composed: dict[str, Any]) -> None:
        assert {name for name, service in composed["services"].items() if service.get("ports")} == {"proxy"}

    def test_secrets_are_files(self, composed: dict[str, Any]) -> None:
        assert all(set(secret) <= {"name", "file"} for secret in composed["secrets"].values())
        for name, service in composed["services"].items():
            for variable, value in (service.get("environment") or {}).items():
                if re.search("PASSWORD|SECRET|TOKEN|PASSPHRASE|KEY", variable):
                    assert re.fullmatch(r"(/run/secrets|/etc/probans)/\S+|/var/lib/probans-keys", value), (
                        name,
                        variable,
                    )

    def test_images_are_named_by_version(self, composed: dict[str, Any]) -> None:
        for name, service in composed["services"].items():
            image, _, tag = service["image"].partition(":")
            assert tag, name
            assert tag != "latest", name
            assert "." not in image.split("/")[0], (
                f"{name}: an image is named without the place it comes from"
            )

    def test_the_database_s_commits_wait_for_the_standby(self, composed: dict[str, Any]) -> None:
        assert "synchronous_standby_names=standby" in composed["services"]["database"]["command"]
        assert "application_name=standby" in (DEPLOY / "postgresql" / "standby.sh").read_text()

    def test_whatever_is_named_exists(self, composed: dict[str, Any]) -> None:
        assert list(dangling(composed)) == []

    def test_what_does_not_exist_would_be_found(self, composed: dict[str, Any]) -> None:
        for kind in ("secrets", "networks", "volumes"):
            fewer = composed | {kind: dict(list(composed[kind].items())[1:])}
            assert list(dangling(fewer)), kind
        assert list(dangling(composed | {"services": {"web": composed["services"]["web"]}}))

    def test_a_broken_file_would_be_found(self, tmp_path: Path) -> None:
        broken = tmp_path / "compose.yaml"
        broken.write_text(
            (DEPLOY / "compose.yaml").read_text("utf-8").replace("image: nginx", "imag: nginx"), "utf-8"
        )
        shutil.copy(DEPLOY / "probans.env", tmp_path)
        command = [JUDGES / "compose-check", str(broken)]
        assert subprocess.run(command, capture_output=True, timeout=60, check=False).returncode != 0


def dangling(composed: dict[str, Any]) -> Iterator[str]:
    """Yield what services name and nothing defines: the judge looks at each service's form alone."""
    for name, service in composed["services"].items():
        for secret in service.get("secrets", ()):
            if secret["source"] not in composed["secrets"]:
                yield f"{name}: secret {secret['source']}"
        for network in service.get("networks", {}):
            if network not in composed["networks"]:
                yield f"{name}: network {network}"
        for volume in service.get("volumes", ()):
            if volume["type"] == "volume" and volume["source"] not in composed["volumes"]:
                yield f"{name}: volume {volume['source']}"
        for other in service.get("depends_on", {}):
            if other not in composed["services"]:
                yield f"{name}: service {other}"


def variables(text: str) -> dict[str, str]:
    lines = (line for line in text.splitlines() if line and not line.startswith("#"))
    return dict(line.split("=", 1) for line in lines)


def test_every_setting_named_is_one_and_no_secret_is_among_them() -> None:
    named = variables((DEPLOY / "probans.env").read_text("utf-8"))
    for unit in UNITS:
        text = (DEPLOY / "systemd" / unit).read_text("utf-8")
        named |= dict(
            found.split("=", 1) for found in re.findall(r"^Environment=(PROBANS_\S+)", text, re.MULTILINE)
        )
    known = {f"PROBANS_{name.upper()}" for name in Settings.model_fields}
    assert set(named) <= known
    assert len(named) > 20
    for name, value in named.items():
        if name.endswith("_FILE"):
            assert value.startswith(("/run/secrets/", "%d/")), name
    assert "password" not in named["PROBANS_DATABASE_URL"]
    assert ":" not in named["PROBANS_DATABASE_URL"].partition("://")[2].partition("@")[0]


@pytest.mark.needs("hadolint")
@pytest.mark.parametrize("name", ["Dockerfile", "store.Dockerfile"])
def test_image_recipes_pass_their_judge(name: str, tmp_path: Path) -> None:
    judge = JUDGES / "hadolint" / "bin" / "hadolint"
    done = subprocess.run([judge, DEPLOY / name], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "")
    bad = tmp_path / name
    bad.write_text((DEPLOY / name).read_text("utf-8") + "\nUSER root\nRUN cd /tmp\n", "utf-8")
    assert subprocess.run([judge, bad], capture_output=True, timeout=60, check=False).returncode == 1


def test_the_image_takes_what_the_distribution_is_made_of() -> None:
    packages = re.search(r"packages = \[(.*)\]", (ROOT / "pyproject.toml").read_text("utf-8"))
    assert packages is not None
    text = (DEPLOY / "Dockerfile").read_text("utf-8")
    copied = set(re.findall(r"^COPY (\w+) \1$", text, re.MULTILINE))
    assert copied == set(re.findall(r'"(\w+)"', packages[1]))
    assert "--require-hashes" in text
    assert re.search(r"^USER 10001:10001$", text, re.MULTILINE)


@pytest.mark.needs("systemd-analyze")
@pytest.mark.parametrize("name", UNITS)
def test_units_are_valid_and_closed(name: str, tmp_path: Path) -> None:
    unit = tmp_path / name
    # The judge looks for the program itself.
    unit.write_text(
        (DEPLOY / "systemd" / name).read_text("utf-8").replace("/opt/probans/bin/probans", "/bin/true")
    )
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", unit],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    exposure = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", "--threshold=20", unit],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert exposure.returncode == 0, exposure.stdout[-600:]


@pytest.mark.needs("systemd-analyze")
def test_an_open_unit_would_be_found(tmp_path: Path) -> None:
    unit = tmp_path / UNITS[0]
    unit.write_text("[Service]\nExecStart=/bin/true\n")
    command = ["systemd-analyze", "security", "--offline=yes", "--threshold=20", unit]
    assert subprocess.run(command, capture_output=True, timeout=60, check=False).returncode != 0


def test_scripts_are_shell_and_can_be_run() -> None:
    for path in (*DEPLOY.glob("*.sh"), *DEPLOY.glob("*/*.sh")):
        assert path.stat().st_mode & 0o111, path
        subprocess.run(["sh", "-n", path], check=True, timeout=10)
