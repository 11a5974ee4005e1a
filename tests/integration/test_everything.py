"""Everything about me, when parts are missing, waiting, large or down: the archive says so, or does not look whole."""

from __future__ import annotations

import hashlib
import io
import json
import random
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select, update

from timestamping.errors import AuthorityUnavailable
from vault.audit.contents import audit_safe
from vault.bootstrap import open_parts, open_vault
from vault.db import models
from vault.domain.actors import Actor, Role
from vault.domain.documents import NewDocument, ObjectRole, Outcome
from vault.domain.transfer import Transfer
from vault.errors import Conflict, Unavailable, VaultError
from vault.rights.archive import HELD, Archive, measure
from vault.service import Vault
from vault.settings import Settings

Issue = Callable[..., Outcome]
NOON = datetime(2026, 5, 4, 12, 30, 10, tzinfo=UTC)


def camille(vault: Vault) -> Actor:
    """With an identity proven right now."""
    return replace(vault.personas.named("camille").actor, authenticated_at=datetime.now(UTC))


def asked(vault: Vault, key: str = "export") -> str:
    actor = camille(vault)
    return vault.people.rights.exports.ask(actor, actor.safe_id or "", key).document_id


def taken(vault: Vault, export: str | None = None) -> zipfile.ZipFile:
    made = vault.people.rights.exports.archive(camille(vault), export or asked(vault))
    return zipfile.ZipFile(io.BytesIO(b"".join(made.chunks)))


def member(archive: zipfile.ZipFile, document_id: str, name: str) -> str:
    (found,) = (each for each in archive.namelist() if document_id in each and each.endswith(name))
    return found


def stored(vault: Vault, document_id: str) -> Path:
    """The file in which an original lies, encrypted."""
    table = models.objects
    with vault.parts.database.reading() as connection:
        query = select(table.c.address).where(
            table.c.document_id == document_id, table.c.role == ObjectRole.ORIGINAL.value
        )
        address = connection.scalar(query)
    (found,) = (path for path in (vault.settings.data / "objects").rglob("*") if path.name == address)
    return found


@pytest.mark.parametrize("harm", ["missing", "damaged", "cut"])
def test_what_the_store_lost_is_said_and_the_rest_is_there(
    vault: Vault, issue: Issue, deposit: Issue, harm: str
) -> None:
    lost, whole = issue().document_id, deposit().document_id
    path = stored(vault, lost)
    content = path.read_bytes()
    path.chmod(0o600)
    path.parent.chmod(0o700)
    path.unlink()
    if harm == "damaged":
        path.write_bytes(content[:-40] + bytes([content[-40] ^ 1]) + content[-39:])
    elif harm == "cut":
        path.write_bytes(content[: len(content) // 2])
    archive = taken(vault)
    assert archive.testzip() is None
    said = archive.read(member(archive, lost, "ERREUR-acte.pdf.txt")).decode()
    assert "ORIGINAL_DAMAGED" in said
    assert "Prévenez l’exploitant" in said
    assert (
        "ORIGINAL_DAMAGED"
        in archive.read(member(archive, lost, "ERREUR-dossier-de-preuve.asice.txt")).decode()
    )
    assert not [name for name in archive.namelist() if lost in name and name.endswith("/acte.pdf")]
    index = json.loads(archive.read("index.json"))
    assert sorted(each["code"] for each in index["missing"]) == ["ORIGINAL_DAMAGED"] * 2
    assert archive.read(member(archive, whole, "demande.xml")) == b"<a>\xc3\xa9</a>"
    assert vault.people.rights.exports.see(camille(vault), asked(vault)).missing == 2


def test_a_document_row_that_does_not_open_does_not_hide_the_others(
    vault: Vault, issue: Issue, deposit: Issue
) -> None:
    broken, whole = issue().document_id, deposit().document_id
    table = models.documents
    with vault.parts.database.writing() as connection:
        values = {"sealed": bytes(64)}
        connection.execute(update(table).where(table.c.id == broken).values(values))
    archive = taken(vault)
    assert "ROW_DAMAGED" in archive.read(f"documents/{broken}/ERREUR-document.json.txt").decode()
    assert archive.read(member(archive, whole, "demande.xml")) == b"<a>\xc3\xa9</a>"


def test_destroyed_and_waiting_documents_are_listed_without_content(
    vault: Vault, issue: Issue, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = issue("gone").document_id
    operator = vault.personas.named("exploitant").actor
    table = models.documents
    with vault.parts.database.writing() as connection:
        past = {"retain_until": "2020-01-01T00:00:00.000Z"}
        connection.execute(update(table).where(table.c.id == gone).values(past))
    vault.lifecycle.destroy(operator, gone)
    monkeypatch.setattr(vault.authority, "token", _no_token)
    waiting = issue("waiting").document_id
    archive = taken(vault)
    said = json.loads(archive.read(member(archive, waiting, "document.json")))
    assert (said["content"], said["title"]) == ("waiting-for-its-seal", "Acte de naissance")
    assert [name for name in archive.namelist() if waiting in name] == [
        member(archive, waiting, "document.json")
    ]
    said = json.loads(archive.read(member(archive, gone, "document.json")))
    assert (said["content"], said["status"]) == ("destroyed", "destroyed")
    assert "title" not in said
    assert [name for name in archive.namelist() if gone in name] == [member(archive, gone, "document.json")]


def _no_token(_: bytes) -> object:
    raise AuthorityUnavailable("down")


def _down(*_: object, **__: object) -> object:
    raise Unavailable("LEDGER_UNAVAILABLE")


def test_without_the_ledger_no_octet_leaves(
    vault: Vault, issue: Issue, monkeypatch: pytest.MonkeyPatch
) -> None:
    issue()
    export = asked(vault)
    rights = vault.people.rights.exports
    with monkeypatch.context() as broken:
        broken.setattr(vault.writer, "run", _down)
        with pytest.raises(Unavailable, match="LEDGER_UNAVAILABLE"):
            rights.archive(camille(vault), export)
    assert rights.see(camille(vault), export).done == 0
    assert taken(vault, export).testzip() is None


def test_a_right_that_ends_in_the_middle_gives_no_more(
    vault: Vault, deposit: Issue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vault.rights.exports._BATCH", 2)
    for number in range(5):
        deposit(f"d{number}", b"<n>%d</n>" % number)
    made = vault.people.rights.exports.archive(camille(vault), asked(vault))
    got = next(made.chunks)
    monkeypatch.setattr(
        "vault.access.RULES", frozenset(rule for rule in _rules() if rule[0] is not Role.HOLDER)
    )
    with pytest.raises(VaultError, match="NOT_FOUND"):
        got += b"".join(made.chunks)
    with pytest.raises(zipfile.BadZipFile):
        zipfile.ZipFile(io.BytesIO(got))


def _rules() -> frozenset[tuple[Role, object, object]]:
    from vault import access

    return access.RULES


def test_entries_are_durable_before_the_octets_they_are_for(
    vault: Vault, deposit: Issue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vault.rights.exports._BATCH", 2)
    made = [deposit(f"d{number}", b"<n>%d</n>" % number).document_id for number in range(7)]
    chunks = vault.people.rights.exports.archive(camille(vault), asked(vault)).chunks
    got = b""
    for chunk in chunks:
        got += chunk
        noted = _noted(vault)
        # A header of a document's file is there: so is its line.
        assert {each for each in made if f"{each}/".encode() in got} <= noted
    assert _noted(vault) == set(made)


def _noted(vault: Vault) -> set[str]:
    table = models.document_entries
    query = select(table.c.document_id).where(table.c.event == "document.read")
    with vault.parts.database.reading() as connection:
        return set(connection.scalars(query))


def test_a_large_original_is_read_before_it_begins_to_leave(vault: Vault, tmp_path: Path) -> None:
    content = random.Random(5).randbytes(3 * HELD + 17)
    new = NewDocument("camille", "Grand", "grand.bin")
    holder = camille(vault)
    made = vault.submissions.deposit(holder, new, iter((content,)), Transfer("large")).document_id
    archive = taken(vault)
    assert archive.read(member(archive, made, "grand.bin")) == content
    bundle = archive.read(member(archive, made, ".asice"))
    assert zipfile.ZipFile(io.BytesIO(bundle)).read("document/grand.bin") == content
    # Damage in its last part: not one octet of it leaves.
    path = stored(vault, made)
    path.chmod(0o600)
    path.parent.chmod(0o700)
    damaged = bytearray(path.read_bytes())
    damaged[-3] ^= 1
    path.unlink()
    path.write_bytes(damaged)
    whole = b"".join(vault.people.rights.exports.archive(holder, asked(vault, "again")).chunks)
    assert content[:64] not in whole
    assert (
        "ORIGINAL_DAMAGED"
        in zipfile.ZipFile(io.BytesIO(whole))
        .read(member(zipfile.ZipFile(io.BytesIO(whole)), made, "ERREUR-grand.bin.txt"))
        .decode()
    )


def _octets(path: Path) -> bytes:
    """What lies in a file; nothing where the publisher has renamed it meanwhile."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


def test_nothing_lies_on_disk_while_it_leaves(vault: Vault, issue: Issue) -> None:
    issue()
    before = {path for path in vault.settings.data.rglob("*") if path.is_file()}
    made = vault.people.rights.exports.archive(camille(vault), asked(vault))
    for _ in made.chunks:
        pass
    new = {path for path in vault.settings.data.rglob("*") if path.is_file()} - before
    told = b"".join(_octets(path) for path in new)
    assert b"Camille" not in told
    assert b"acte.pdf" not in told
    assert b"%PDF" not in told


def test_exports_and_notes_come_back_and_the_audit_is_content(tmp_path: Path, act_pdf: bytes) -> None:
    settings = Settings(data=tmp_path / "data", publish_interval=0.05)
    vault = open_vault(settings)
    agent = vault.personas.named("agent-etat-civil").actor
    new = NewDocument("camille", "Acte", "acte.pdf", document_type="acte-de-naissance")
    act = vault.issuing.issue(agent, "mairie-specimen", new, iter((act_pdf,)), Transfer("a")).document_id
    notes = vault.people.rights.notes
    kept = notes.add(camille(vault), act, "Le prénom est faux.", "n1").document_id
    back = notes.add(camille(vault), act, "Le nom aussi.", "n2").document_id
    notes.answer(agent, kept, "kept", "L’acte est exact.", "n3")
    notes.withdraw(camille(vault), back, "n4")
    export = asked(vault)
    taken(vault, export)
    parts = vault.parts
    assert audit_safe(parts.database, parts.keyring, parts.objects, parts.records).problems == []
    vault.close()
    for path in settings.data.glob("probans.db*"):
        path.unlink()
    opened = open_parts(settings)
    assert opened.recovery().run(opened.clock).findings == []
    opened.close()
    vault = open_vault(settings)
    found = vault.people.rights.notes.see(camille(vault), kept)
    assert (found.state, found.private["answer"]["words"]) == ("answered", "L’acte est exact.")
    assert vault.people.rights.notes.see(camille(vault), back).state == "withdrawn"
    # How far it was is not worth keeping; that it was delivered is.
    assert vault.people.rights.exports.see(camille(vault), export).state == "delivered"
    assert taken(vault, export).testzip() is None
    vault.close()


@pytest.mark.usefixtures("each_database")
def test_a_whole_export_on_either_database(vault: Vault, issue: Issue, deposit: Issue) -> None:
    made = [
        issue().document_id,
        *(deposit(f"d{number}", b"<n>%d</n>" % number).document_id for number in range(3)),
    ]
    export = asked(vault)
    exports = vault.people.rights.exports
    begun = exports.archive(camille(vault), export)
    with pytest.raises(Conflict, match="TWIN_RUNNING"):
        exports.archive(camille(vault), export)
    begun.chunks.close()
    archive = taken(vault, export)
    assert archive.testzip() is None
    for document_id in made:
        assert member(archive, document_id, "dossier-de-preuve.asice")
    progress = exports.see(camille(vault), export)
    assert (progress.state, progress.documents, progress.done) == ("delivered", 4, 4)


# --- the archive itself


def built(members: list[tuple[str, bytes, bool]]) -> bytes:
    archive = Archive(NOON)
    parts: list[bytes] = []
    for name, data, packed in members:
        made = archive.text(name, data) if packed else archive.file(name, measure(lambda d=data: iter((d,))))
        parts += made
    return b"".join([*parts, archive.end()])


NAMES = st.lists(
    st.text(st.characters(codec="utf-8", exclude_characters="\0\\/"), min_size=1, max_size=20),
    unique=True,
    max_size=6,
)  # fmt: skip


@given(NAMES, st.data())
def test_any_members_come_out_again(names: list[str], data: st.DataObject) -> None:
    members = [(name, data.draw(st.binary(max_size=300)), data.draw(st.booleans())) for name in names]
    whole = built(members)
    archive = zipfile.ZipFile(io.BytesIO(whole))
    assert archive.testzip() is None
    assert [(each.filename, archive.read(each)) for each in archive.infolist()] == [
        (name, content) for name, content, _ in members
    ]
    assert {each.date_time for each in archive.infolist()} <= {(2026, 5, 4, 12, 30, 10)}
    assert not any(each.flag_bits & 8 for each in archive.infolist()), "sizes stand before contents"
    if members:
        for cut in (1, 22, 23, len(whole) // 2):
            with pytest.raises(zipfile.BadZipFile):
                zipfile.ZipFile(io.BytesIO(whole[:-cut])).testzip()


def test_numbers_that_do_not_fit_have_wide_fields() -> None:
    whole = _wide([("a", b"x" * 99, False), ("grand", b"y" * 5000, False), ("après", b"z" * 10, True)])
    archive = zipfile.ZipFile(io.BytesIO(whole))
    assert archive.testzip() is None
    assert archive.read("grand") == b"y" * 5000
    assert archive.read("après") == b"z" * 10
    assert b"PK\6\6" in whole


def _wide(members: list[tuple[str, bytes, bool]]) -> bytes:
    """Write as if five gibibytes came before; readers make up for what is not there, since all offsets agree."""
    archive = Archive(NOON)
    archive._offset = 5 << 30
    parts = [*archive.text("premier", b"p")]
    for name, data, packed in members:
        parts += (
            archive.text(name, data) if packed else archive.file(name, measure(lambda d=data: iter((d,))))
        )
    return b"".join([*parts, archive.end()])


def test_a_content_that_changes_between_two_reads_breaks_off() -> None:
    passes: Iterator[bytes] = iter((bytes(HELD + 1), b"\1" + bytes(HELD)))
    content = measure(lambda: iter((next(passes),)))
    with pytest.raises(VaultError, match="changed between two reads"):
        list(Archive(NOON).file("a", content))


@pytest.mark.needs("unzip")
def test_unzip_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(built([("é/ö.txt", b"un", True), ("b.bin", bytes(5_000_000), False)]))
    done = subprocess.run(["unzip", "-t", str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (
        hashlib.sha256(zipfile.ZipFile(path).read("b.bin")).digest()
        == hashlib.sha256(bytes(5_000_000)).digest()
    )
