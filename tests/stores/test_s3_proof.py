"""The proof of a store: all refused where locks hold, the weakness named where they do not, demanded in production."""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from storage.proving import Prover
from tests.services.versitygw import SHORTENS, Gateway
from tests.stores.conftest import Place, place_at
from tests.stores.test_s3_safe import environment
from vault.backends.store_proofs import load, save
from vault.backends.stores import open_stores
from vault.cli.main import build
from vault.clock import SystemClock
from vault.errors import SettingsRefused

pytestmark = pytest.mark.needs("versitygw")
runner = CliRunner()
ATTACKS = {
    "delete-version",
    "delete-version-bypass",
    "delete-many-bypass",
    "shorten",
    "shorten-bypass",
    "downgrade",
    "downgrade-bypass",
    "remove-lock-bypass",
    "suspend-versioning",
    "drop-bucket-lock",
    "empty-bucket-lock",
    "delete-bucket",
}


class Later(SystemClock):
    def __init__(self, days: float) -> None:
        self._days = days

    def now(self):
        return super().now() + timedelta(days=self._days)


def prove(place: Place, *words: str):
    (place.settings.data / "keys").mkdir(parents=True, exist_ok=True)
    command = ["storage", "prove", "--data", str(place.settings.data), *words]
    return runner.invoke(build(["storage"]), command, env=environment(place))


def start(place: Place, days: float = 0, **changes: object) -> bool:
    """Open the stores as production does; tell whether they say that nobody can lift a lock."""
    production = place.settings.model_copy(update={"environment": "production", **changes})
    with ExitStack() as resources:
        stores = open_stores(production, Later(days), resources)
        return stores.objects.durability().immutable_for_operator


def test_a_store_that_locks_refuses_everything(place: Place) -> None:
    with pytest.raises(SettingsRefused, match="No proof"):
        start(place)
    done = prove(place, "--json")
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    outcomes = {each["name"]: each["outcome"] for each in said["attempts"]}
    assert {name for name, outcome in outcomes.items() if outcome == "refused"} == ATTACKS
    assert {outcomes[name] for name in outcomes.keys() - ATTACKS} == {"harmless"}
    assert (said["holds"], said["conditions"], said["server"]) == (True, True, "VERSITYGW")
    assert place.settings.store_proof_file.stat().st_mode & 0o777 == 0o600
    assert start(place) is True
    with ExitStack() as resources:
        locked = open_stores(place.settings, SystemClock(), resources).objects
        assert list(locked.addresses()) == []
        assert list(locked.oddities()) == []


def test_what_a_proof_is_refused_for(place: Place, tmp_path: Path) -> None:
    assert prove(place).exit_code == 0
    file = place.settings.store_proof_file
    proof = load(file)
    assert start(place, days=29)
    for days in (31, -1):
        with pytest.raises(SettingsRefused, match="again"):
            start(place, days=days)
    other = place_at(place.gateway, tmp_path, store_proof=file)
    with pytest.raises(SettingsRefused, match="not of this store"):
        start(other)
    for key, version in (("prove/none", proof.kept[1]), (proof.kept[0], "01M81KH0NHYDDQRQ1D20KA4PCN")):
        save(replace(proof, kept=(key, version)), file)
        with pytest.raises(SettingsRefused, match="who changed the store"):
            start(place)
    save(replace(proof, attempts=(replace(proof.attempts[0], outcome="undecided"),)), file)
    with pytest.raises(SettingsRefused, match="control-delete"):
        start(place)
    save(replace(proof, attempts=()), file)
    with pytest.raises(SettingsRefused, match="another form"):
        start(place)
    for text in ("", "{}", "[]", "[" * 100_000, '{"attempts": 3}', "\x00"):
        file.write_text(text)
        with pytest.raises(SettingsRefused, match="cannot be read"):
            start(place)
        assert open_development(place) is False


def open_development(place: Place) -> bool:
    with ExitStack() as resources:
        stores = open_stores(place.settings, SystemClock(), resources)
        return stores.objects.durability().immutable_for_operator


@pytest.mark.needs(SHORTENS)
def test_a_store_whose_locks_can_be_shortened_is_caught(tmp_path: Path) -> None:
    gateway = Gateway(SHORTENS)
    try:
        place = place_at(gateway, tmp_path)
        done = prove(place)
        assert done.exit_code == 1
        assert done.stdout.count("RÉUSSI") == 2
        proof = load(place.settings.store_proof_file)
        assert [each.name for each in proof.attempts if each.outcome == "succeeded"] == [
            "shorten",
            "shorten-bypass",
        ]
        with pytest.raises(SettingsRefused, match="shorten"):
            start(place)
    finally:
        gateway.remove()


def test_keys_that_may_not_delete_prove_nothing(place: Place) -> None:
    class Weak(type(place.client)):  # type: ignore[misc]
        def call(self, method: str, bucket: str, key: str | None = None, **named):
            if method == "DELETE" and "versionId" in (named.get("query") or {}):
                from storage.s3_client import StoreRefused

                raise StoreRefused(403, "AccessDenied")
            return super().call(method, bucket, key, **named)

    proof = Prover(Weak(place.gateway.config()), place.bucket).prove(timedelta(days=1))
    assert not proof.holds
    assert [each.name for each in proof.attempts if each.outcome == "undecided"] == [
        "control-delete",
        "control-bypass",
    ]


def test_buckets_that_will_not_do_are_refused(place: Place) -> None:
    from storage.errors import StorageUnavailable

    with pytest.raises(StorageUnavailable, match="no versioning"):
        start(place, store_bucket=place.plain)
    with pytest.raises(StorageUnavailable, match="versioning"):
        start(place, store_plain_bucket=place.bucket)
    with pytest.raises(StorageUnavailable):
        start(place, store_bucket="nowhere-at-all")


def test_buckets_are_made(place: Place, tmp_path: Path) -> None:
    fresh = replace(
        place,
        settings=place.settings.model_copy(
            update={"store_bucket": "made-locked", "store_plain_bucket": "made-plain"}
        ),
    )
    for _ in range(2):
        command = ["storage", "make-buckets", "--data", str(tmp_path)]
        done = runner.invoke(build(["storage"]), command, env=environment(fresh))
        assert done.exit_code == 0, done.output
    assert open_development(fresh) is False
