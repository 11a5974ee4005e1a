"""A whole safe at two sites: what one of them loses, changes or misses while it is away."""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner

from api.store_series import stores_text
from storage.errors import ObjectMissing, StorageUnavailable
from storage.pair import PairObjectStore
from storage.pair_owed import Owed, owe
from storage.pair_sites import SiteStores
from storage.s3_objects import key_of
from tests.services.database import lose
from tests.services.versitygw import Gateway
from tests.stores.conftest import deposit, issue, place_at
from tests.stores.test_s3_safe import addresses, octets
from vault.backends.stores import prepare_folder
from vault.bootstrap import open_vault
from vault.cli.main import build
from vault.domain.actors import Actor, Role
from vault.errors import SettingsRefused, Unavailable, VaultError
from vault.maintenance.catching_up import catch_up, catch_up_tasks, sites_figures
from vault.maintenance.scrubbing import Pace
from vault.maintenance.site_scrubbing import scrub_sites
from vault.service import Vault
from vault.settings import Settings

pytestmark = pytest.mark.needs("versitygw")
runner = CliRunner()
OPERATOR = Actor("operator", Role.OPERATOR, "Exploitant")
FIELDS = ("endpoint", "bucket", "plain_bucket", "access_key_file", "secret_key_file", "timeout")


@dataclass
class TwoPlaces:
    """A folder, and a gateway of its own as second store.

    Attributes:
        gateway: the second store.
        bucket: of it, with Object Lock.
        plain: of it, without versioning.
        settings: of the safe.
    """

    gateway: Gateway
    bucket: str
    plain: str
    settings: Settings

    def environment(self) -> dict[str, str]:
        named = {
            f"PROBANS_STORE2_{name}".upper(): getattr(self.settings, f"store2_{name}") for name in FIELDS
        }
        found = {name: str(value) for name, value in named.items() if value}
        if self.settings.store2_folder:
            found["PROBANS_STORE2_FOLDER"] = str(self.settings.store2_folder)
        return {**found, "PROBANS_STORE_WRITES": self.settings.store_writes}

    def run(self, *words: str) -> tuple[int, dict]:
        data = ("--data", str(self.settings.data)) if words[0] != "audit" else (str(self.settings.data),)
        done = runner.invoke(build([words[0]]), [*words, *data, "--json"], env=self.environment())
        assert done.exit_code in {0, 1, 3}, done.output
        return done.exit_code, json.loads(done.stdout)

    def first_file(self, address: str) -> Path:
        return self.settings.data / "objects/objects" / address[:2] / address

    def second_file(self, address: str) -> Path:
        return self.gateway.folder / "data" / self.bucket / key_of(address)


def two_places(gateway: Gateway, folder: Path, **changes: object) -> TwoPlaces:
    for name, text in (("access2", gateway.access_key), ("secret2", gateway.secret_key)):
        (folder / name).write_text(text + "\n")
    bucket, plain = gateway.bucket(locked=True), gateway.bucket(locked=False)
    named = {
        "data": folder / "data",
        "publish_interval": 0.05,
        "store2_endpoint": gateway.endpoint,
        "store2_bucket": bucket,
        "store2_plain_bucket": plain,
        "store2_access_key_file": folder / "access2",
        "store2_secret_key_file": folder / "secret2",
        "store2_timeout": 1.0,
        "store_patience": 0.5,
        **changes,
    }
    return TwoPlaces(gateway, bucket, plain, Settings(**named))  # type: ignore[arg-type]


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    own = Gateway()
    yield own
    own.remove()


def opened(settings: Settings) -> Vault:
    return open_vault(settings, background=False)


def sites_of(vault: Vault) -> tuple[SiteStores, SiteStores]:
    assert vault.parts.sites is not None
    with vault.parts.sites.first.asked() as first, vault.parts.sites.second.asked() as second:
        return first, second


def scrubbed(vault: Vault, *, repair: bool = False) -> tuple[set[tuple[str, str]], set[tuple[str, str]]]:
    """Return what is wrong, and what was repaired."""
    assert vault.parts.sites is not None
    parts = vault.parts
    report = scrub_sites(parts.database, vault.parts.sites, parts.clock, pace=Pace(0), repair=repair)
    return tuple(
        {(each.code, each.where.removeprefix("object ")) for each in found}
        for found in (report.problems, report.repaired)
    )  # type: ignore[return-value]


def eventually(what: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.05)


def published(vault: Vault) -> None:
    eventually(lambda: vault.receipts.published_size() == vault.figures().size)


def flip(path: Path) -> None:
    times = path.stat()
    path.chmod(0o640)
    with path.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        last = file.read(1)
        file.seek(-1, os.SEEK_END)
        file.write(bytes([last[0] ^ 1]))
    os.utime(path, ns=(times.st_mtime_ns, times.st_mtime_ns))


def test_a_safe_lives_at_two_sites(gateway: Gateway, tmp_path: Path, specimen: bytes) -> None:
    place = two_places(gateway, tmp_path)
    vault = opened(place.settings)
    act, piece = issue(vault, specimen), deposit(vault)
    sealed = octets(vault, act)
    published(vault)
    first, second = sites_of(vault)
    assert set(first.objects.addresses()) == set(second.objects.addresses())
    assert list(first.records.names()) == list(second.records.names())
    assert list(first.log.list()) == list(second.log.list())
    assert scrubbed(vault) == (set(), set())
    assert vault.health()["stores"].note == "both stores answer, nothing is owed"
    vault.close()
    code, report = place.run("audit")
    assert (code, report["verdict"]) == (0, "PASSED"), report
    code, report = place.run("storage", "scrub")
    assert (code, report["scrub"]["problems"], report["scrub"]["checked"]) == (0, [], 8)
    assert place.run("storage", "catch-up") == (0, {"paid": 0, "left": 0, "conflicts": 0, "down": []})

    # The first site burns down, database and all; what is left is at the second.
    for part in ("objects", "ledger", "records", "owed"):
        shutil.rmtree(place.settings.data / part)
    lose(place.settings.database_address)
    done = runner.invoke(
        build(["recover"]), ["recover", "--data", str(place.settings.data)], env=place.environment()
    )
    assert done.exit_code == 0, done.output
    again = opened(place.settings)
    assert (octets(again, act), octets(again, piece)) == (sealed, b"<a>\xc3\xa9</a>")
    assert issue(again, specimen, "k2") != act
    published(again)
    wrong, repaired = scrubbed(again, repair=True)
    assert wrong == set()
    assert {code for code, _ in repaired} == {"OBJECT_MISSING", "LOG_LAGS"}
    assert scrubbed(again) == (set(), set())
    again.close()


def test_one_goes_on_while_the_second_is_away(gateway: Gateway, tmp_path: Path, specimen: bytes) -> None:
    place = two_places(gateway, tmp_path, store_writes="one")
    vault = opened(place.settings)
    before = issue(vault, specimen)
    gateway.pause()
    begun = time.monotonic()
    during = [issue(vault, specimen, f"k{number}") for number in range(2, 5)]
    assert time.monotonic() - begun < 12
    assert all(octets(vault, each).startswith(specimen) for each in (before, *during))
    health = vault.health()["stores"]
    assert (health.ok, health.needed) == (False, False)
    assert "second down" in health.note
    assert "owed to the second store" in health.note
    series = stores_text(sites_figures(vault.parts.sites))
    assert 'probans_store_up{store="second"} 0\n' in series
    assert re.search(r'probans_store_owed\{store="second"\} [1-9]', series)
    assert 'probans_store_owed{store="first"}' not in series, "only the second could say"
    vault.close()
    # Another process, started while it is still away, pays when it is back.
    later = opened(place.settings)
    gateway.resume()
    assert later.parts.sites is not None
    eventually(lambda: later.parts.sites.second.state.ok)
    [task] = [task for task in later.tasks.tasks if task.name == "catch-up"]
    assert task.run() > 6
    published(later)
    task.run()
    assert scrubbed(later) == (set(), set())
    assert later.health()["stores"].ok
    later.close()


def test_both_refuses_while_one_is_away_and_loses_nothing(
    gateway: Gateway, tmp_path: Path, specimen: bytes
) -> None:
    place = two_places(gateway, tmp_path)
    vault = opened(place.settings)
    act, unread = issue(vault, specimen), issue(vault, specimen, "k0")
    assert octets(vault, act).startswith(specimen)
    gateway.stop()
    for _ in range(2):
        with pytest.raises(Unavailable):
            issue(vault, specimen, "k2")
    # A read whose line in the journal is there already falls over; another one would write a line.
    assert octets(vault, act).startswith(specimen)
    with pytest.raises(Unavailable):
        octets(vault, unread)
    assert (vault.health()["stores"].ok, vault.health()["stores"].needed) == (False, True)
    vault.close()
    later = opened(place.settings)  # a start is possible, and reads
    assert octets(later, act).startswith(specimen)
    gateway.start()
    assert later.parts.sites is not None
    eventually(lambda: later.parts.sites.second.state.ok)
    assert issue(later, specimen, "k2") != act
    published(later)
    assert catch_up(later.parts.database, later.parts.sites) is not None
    assert scrubbed(later) == (set(), set())
    later.close()


def test_a_destruction_while_one_is_away_is_finished_when_it_is_back(
    gateway: Gateway, tmp_path: Path
) -> None:
    """Unreadable at once; told done only when no store has its record any more; nothing brings it back."""
    place = two_places(gateway, tmp_path, store_writes="one", retention_days=0)
    vault = opened(place.settings)
    piece, other = deposit(vault), deposit(vault, b"<b/>", "d2")
    first, second = sites_of(vault)
    before = {name: second.records.read(name) for name in second.records.names()}
    gateway.pause()
    with pytest.raises(Unavailable):
        vault.lifecycle.destroy(OPERATOR, piece)
    with pytest.raises(VaultError) as refusal:
        octets(vault, piece)
    assert refusal.value.code == "DOCUMENT_DESTROYED"
    gateway.resume()
    assert vault.parts.sites is not None
    eventually(lambda: vault.parts.sites.second.state.ok)
    done = catch_up(vault.parts.database, vault.parts.sites, vault.lifecycle.finish_destructions)
    assert done is not None
    assert (done.left, done.destructions) == (0, 1)
    kept = {name: second.records.read(name) for name in second.records.names()}
    gone = {name for name, data in before.items() if kept.get(name) != data}
    assert gone, "its record was rewritten or deleted at the second store"
    for name in gone:
        assert list(vault.parts.records._store.copies(name)) in ([], [kept.get(name)] * 2)
    # Somebody puts the old record back at the second store: a repair does not spread it, recovery does not open it.
    for name in gone:
        second.records.write(name, before[name])
    wrong, repaired = scrubbed(vault, repair=True)
    for name in gone:
        with pytest.raises(ObjectMissing):
            first.records.read(name)
    assert (wrong, repaired) == (set(), set())
    vault.close()
    opened(place.settings).close()
    for name in gone:
        assert name not in list(second.records.names()), "the next start takes it away"
        second.records.write(name, before[name])
    lose(place.settings.database_address)
    recovered = runner.invoke(
        build(["recover"]), ["recover", "--data", str(place.settings.data)], env=place.environment()
    )
    assert recovered.exit_code == 0, recovered.output
    again = opened(place.settings)
    with pytest.raises(VaultError) as refusal:
        octets(again, piece)
    assert refusal.value.code == "DOCUMENT_DESTROYED"
    assert octets(again, other) == b"<b/>"
    again.close()


def test_a_scrub_repairs_each_store_from_the_other(gateway: Gateway, tmp_path: Path, specimen: bytes) -> None:
    place = two_places(gateway, tmp_path)
    vault = opened(place.settings)
    acts = [issue(vault, specimen, f"k{number}") for number in range(6)]
    flipped1, flipped2, lost1, lost2, bad, hidden = (addresses(vault, act)["original"] for act in acts)
    read = [octets(vault, act) for act in acts]
    locked = vault.parts.objects.stat(lost1).retain_until
    published(vault)
    flip(place.first_file(flipped1))
    flip(place.second_file(flipped2))
    place.first_file(lost1).unlink()
    place.second_file(lost2).unlink()
    flip(place.first_file(bad))
    flip(place.second_file(bad))
    client = gateway.client()
    client.call("DELETE", place.bucket, key_of(hidden))
    # Objects that nobody named: right octets harm nobody, wrong ones are found, neither is copied.
    first, second = sites_of(vault)
    [extra] = second.objects.commit([second.objects.put([b"somebody's"])])
    [wrong_extra] = first.objects.commit([first.objects.put([b"somebody else's"])])
    flip(place.first_file(wrong_extra.address))
    # What one site has wrong is read at the other meanwhile.
    assert [octets(vault, act) for act in acts[:4]] == read[:4]
    with pytest.raises(VaultError) as refusal:
        octets(vault, acts[4])
    assert refusal.value.code == "ORIGINAL_DAMAGED"

    standing = {
        ("OBJECT_DAMAGED", f"{bad} (first store)"),
        ("OBJECT_DAMAGED", f"{bad} (second store)"),
        ("OBJECT_DAMAGED", f"{wrong_extra.address} (first store)"),
        ("OBJECT_HIDDEN", f"{hidden} (second store)"),
    }
    mendable = {
        ("OBJECT_DAMAGED", f"{flipped1} (first store)"),
        ("OBJECT_DAMAGED", f"{flipped2} (second store)"),
        ("OBJECT_MISSING", f"{lost1} (first store)"),
        ("OBJECT_MISSING", f"{lost2} (second store)"),
    }
    assert scrubbed(vault) == (standing | mendable, set())
    assert scrubbed(vault, repair=True) == (standing, mendable)
    assert scrubbed(vault, repair=True) == (standing, set())
    assert first.objects.stat(lost1).retain_until == locked
    assert second.objects.stat(lost2).retain_until is not None
    with pytest.raises(ObjectMissing):
        first.objects.stat(extra.address)
    vault.close()
    # A process that knows of nothing reads each store alone.
    again = opened(place.settings)
    for stores in sites_of(again):
        for address in (flipped1, flipped2, lost1, lost2):
            b"".join(stores.objects.read(address))
    assert [octets(again, act) for act in acts[:4]] == read[:4]
    assert scrubbed(again) == (standing, set())
    again.close()
    code, report = place.run("storage", "scrub", "--repair")
    assert (code, report["scrub"]["repaired"]) == (1, [])
    assert any("not repaired" in each["found"] for each in report["scrub"]["problems"])


def test_records_and_ledger_are_made_alike(gateway: Gateway, tmp_path: Path, specimen: bytes) -> None:
    place = two_places(gateway, tmp_path)
    vault = opened(place.settings)
    issue(vault, specimen)
    published(vault)
    first, second = sites_of(vault)
    names = [name for name in first.records.names() if name[:16].isdigit()]
    first.records.delete(names[0])
    second.records.write(names[-1], b"an older one") if len(names) > 1 else second.records.delete("none")
    second.records.write("labels_01forged", b"forged")
    checkpoint = second.log.get("checkpoint")
    second.log.compare_and_swap("checkpoint", checkpoint, b"older\n", "text/plain")
    first.log.put_if_absent("tile/0/000", b"one history", "application/octet-stream")
    second.log.put_if_absent("tile/0/000", b"another", "application/octet-stream")
    wrong, _ = scrubbed(vault)
    codes = {code for code, _ in wrong}
    assert {"OBJECT_MISSING", "NAME_FOREIGN", "LOG_LAGS", "LOG_CONFLICT"} <= codes
    wrong, repaired = scrubbed(vault, repair=True)
    assert {code for code, _ in wrong} == {"NAME_FOREIGN", "LOG_CONFLICT"}
    assert second.log.get("checkpoint") == checkpoint
    assert first.records.read(names[0]) == second.records.read(names[0])
    assert ("OBJECT_MISSING", f"record {names[0]} (first store)") in repaired
    vault.close()


def test_two_services(gateway: Gateway, versitygw_server: Gateway, tmp_path: Path, specimen: bytes) -> None:
    one = place_at(versitygw_server, tmp_path).settings
    fields = {name: getattr(one, f"store_{name}") for name in FIELDS}
    place = two_places(gateway, tmp_path, **{f"store_{name}": value for name, value in fields.items()})
    vault = opened(place.settings)
    act = issue(vault, specimen)
    address = addresses(vault, act)["original"]
    sealed = octets(vault, act)
    published(vault)
    assert isinstance(vault.parts.objects, PairObjectStore)
    flip(versitygw_server.folder / "data" / one.store_bucket / key_of(address))
    assert octets(vault, act) == sealed
    assert scrubbed(vault, repair=True) == (set(), {("OBJECT_DAMAGED", f"{address} (first store)")})
    gateway.stop()
    assert octets(vault, act) == sealed
    gateway.start()
    vault.close()


def test_a_folder_as_second_store_is_the_one_that_was_prepared(
    gateway: Gateway, tmp_path: Path, specimen: bytes
) -> None:
    """An empty folder in its place, such as the place of a volume that is not mounted, takes nothing."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    place = TwoPlaces(
        gateway,
        "",
        "",
        Settings(data=tmp_path / "data", publish_interval=0.05, store2_folder=folder, store_writes="one"),
    )
    prepare_folder(folder)
    opened(place.settings).close()
    away = folder.rename(tmp_path / "unmounted")
    folder.mkdir()
    vault = opened(place.settings)
    act = issue(vault, specimen)
    assert list(folder.iterdir()) == []
    assert "not prepared" in vault.health()["stores"].note
    vault.close()
    folder.rmdir()
    away.rename(folder)
    code, said = place.run("storage", "catch-up")
    assert (code, said["left"]) == (0, 0)
    assert said["paid"] > 3
    again = opened(place.settings)
    published(again)
    assert scrubbed(again) == (set(), set())
    shutil.rmtree(place.settings.data / "objects")
    again.close()
    last = opened(place.settings)
    assert octets(last, act).startswith(specimen)
    last.close()


def test_what_cannot_be_paid_is_counted_and_holds_up_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "elsewhere"
    prepare_folder(folder)
    named = {
        "data": tmp_path / "data",
        "publish_interval": 0.05,
        "store2_folder": folder,
        "store_writes": "one",
    }
    vault = opened(Settings(**named))  # type: ignore[arg-type]
    published(vault)
    sites = vault.parts.sites
    assert sites is not None
    first, second = sites_of(vault)
    damaged, sound = first.objects.commit([first.objects.put([data]) for data in (b"damaged", b"sound")])
    flip(tmp_path / "data/objects/objects" / damaged.address[:2] / damaged.address)
    first.log.put_if_absent("tile/0/000", b"one history", "application/octet-stream")
    second.log.put_if_absent("tile/0/000", b"another", "application/octet-stream")
    owe(first.owed, Owed("log", "tile/0/000"))
    for address in (damaged.address, sound.address, "0" * 64):
        owe(first.owed, Owed("object", address))
    first.owed.write("object-poison", b"[]")
    done = catch_up(vault.parts.database, sites, vault.lifecycle.finish_destructions)
    assert done is not None
    assert (done.paid, done.left, done.damaged, done.conflicts) == (2, 2, 1, 1)
    assert second.objects.stat(sound.address)
    with vault.parts.database.leading("catch-up") as leader:
        assert leader
        assert catch_up(vault.parts.database, sites) is None
    assert sites_figures(sites)[1].owed == 3
    assert sites_figures(None) == []
    vault.close()


def test_settings_that_will_not_do(tmp_path: Path) -> None:
    keys = {f"store2_{name}_key_file": tmp_path / name for name in ("access", "secret")}
    named = {"store2_endpoint": "https://two", "store2_bucket": "b", "store2_plain_bucket": "p", **keys}
    Settings(data=tmp_path, **named).check_store(production=True)
    first = {"store_endpoint": "https://two", "store_bucket": "b", "store_plain_bucket": "p"}
    first |= {f"store_{name}_key_file": tmp_path / name for name in ("access", "secret")}
    for wrong in (
        {**named, "store2_bucket": ""},
        {**named, "store2_access_key_file": None},
        {**named, "store2_folder": tmp_path / "x"},
        {**named, **first},
        {**named, **first, "store2_endpoint": "https://TWO/"},
        {**named, **first, "store2_bucket": "other"},
        {**named, **first, "store2_bucket": "p", "store2_plain_bucket": "other"},
        {**named, "store2_endpoint": "http://two"},
        {"store_writes": "one"},
    ):
        with pytest.raises(SettingsRefused):
            Settings(data=tmp_path, **wrong).check_store(production=True)
    (tmp_path / "data").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "data")
    for folder in ("data", "data/objects", "link"):
        with pytest.raises(SettingsRefused):
            Settings(data=tmp_path / "data", store2_folder=tmp_path / folder).check()
    Settings(data=tmp_path / "data", store2_folder=tmp_path / "data2").check()


def test_each_store_has_its_own_proof(gateway: Gateway, tmp_path: Path) -> None:
    place = two_places(gateway, tmp_path)
    settings = place.settings.model_copy(update={"keys": tmp_path / "keys"})
    settings.keys_folder.mkdir()
    environment = {**place.environment(), "PROBANS_KEYS": str(settings.keys_folder)}
    words = ["storage", "prove", "--second", "--json", "--data", str(settings.data)]
    done = runner.invoke(build(["storage"]), words, env=environment)
    assert done.exit_code == 0, done.output
    proof = json.loads((settings.keys_folder / "store2-proof.json").read_text())
    assert (proof["endpoint"], proof["bucket"]) == (gateway.endpoint, place.bucket)
    assert not (settings.keys_folder / "store-proof.json").exists()


def test_unfinished_destructions_are_not_looked_for_all_the_time(tmp_path: Path) -> None:
    folder = tmp_path / "elsewhere"
    prepare_folder(folder)
    settings = Settings(
        data=tmp_path / "data", publish_interval=0.05, store2_folder=folder, store_writes="one"
    )
    vault = opened(settings)
    sites, looks = vault.parts.sites, []
    assert sites is not None

    def finish() -> int:
        looks.append(1)
        return 0

    [task] = catch_up_tasks(vault.parts.database, sites, finish)
    for _ in range(5):
        task.run()
    assert len(looks) <= 2, "once, and once more where something was owed"
    before = len(looks)
    # Once a store was away, as soon as both are there.
    sites.second.fell("away")
    task.run()
    assert len(looks) == before
    deadline = time.monotonic() + 10
    while not sites.second.state.ok:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    task.run()
    task.run()
    assert before < len(looks) <= before + 2
    vault.close()


def test_nothing_counts_as_deleted_at_a_volume_that_is_not_mounted(tmp_path: Path) -> None:
    folder = tmp_path / "elsewhere"
    prepare_folder(folder)
    settings = Settings(data=tmp_path / "data", publish_interval=0.05, store2_folder=folder, retention_days=0)
    vault = opened(settings)
    sites, records = vault.parts.sites, vault.parts.records
    assert sites is not None
    records.add("contact-record", [b"an address"])
    folder.rename(tmp_path / "unmounted")
    folder.mkdir()
    for refused in (
        lambda: records.delete("contact-record"),
        lambda: records.rewrite("contact-record", lambda _: False),
    ):
        with pytest.raises(StorageUnavailable):
            refused()
        sites.second._down = ""  # the next one finds out for itself
    folder.rmdir()
    (tmp_path / "unmounted").rename(folder)
    records.delete("contact-record")
    assert not [*(tmp_path / "data/records").rglob("contact-record"), *folder.rglob("contact-record")]
    vault.close()
