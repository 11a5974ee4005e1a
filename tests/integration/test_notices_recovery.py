"""Contacts and choices survive the loss of the database; what was erased does not come back."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from vault.bootstrap import open_parts, open_vault
from vault.domain.contacts import Choice, Choices, When
from vault.domain.documents import NewDocument
from vault.domain.notices import Event
from vault.domain.transfer import Transfer
from vault.service import Vault
from vault.settings import Settings


def code_in(text: str) -> str:
    return re.findall(r"\b[0-9A-Z]{5}-[0-9A-Z]{5}\b", text)[-1]


def confirmed(vault: Vault, caplog: pytest.LogCaptureFixture, *addresses: str) -> None:
    holder = vault.personas.named("camille").actor
    assert holder.safe_id
    wanted = [("mail", address) for address in addresses]
    contacts = vault.notifying.contacts.replace(holder, holder.safe_id, wanted)
    for contact in contacts:
        caplog.clear()
        vault.notifying.contacts.send_code(holder, holder.safe_id, contact.id)
        for postman in vault.notifying.postmen:
            postman.send_due()
        vault.notifying.contacts.confirm(holder, holder.safe_id, contact.id, code_in(caplog.text))


def test_contacts_come_back(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "probans.notices")
    settings = Settings(data=tmp_path / "data", publish_interval=0.05)
    vault = open_vault(settings, background=False)
    holder = vault.personas.named("camille").actor
    assert holder.safe_id
    contacts = vault.notifying.contacts
    confirmed(vault, caplog, "gone@example.org")
    confirmed(vault, caplog, "kept@example.org")  # the other is erased by that
    choices = Choices("en", {Event.CASE: Choice(When.NEVER)})
    contacts.choose(holder, holder.safe_id, choices)
    before = contacts.of(holder, holder.safe_id)
    vault.submissions.deposit(
        holder, NewDocument("camille", "Pièce", "a.xml"), iter((b"<a/>",)), Transfer("r1")
    )
    vault.close()
    for path in settings.data.glob("probans.db*"):
        path.unlink()
    parts = open_parts(settings)
    assert parts.recovery().run(parts.clock).findings == []
    parts.close()
    vault = open_vault(settings, background=False)
    after = vault.notifying.contacts.of(holder, holder.safe_id)
    assert after == before
    assert [contact.address for contact in after] == ["kept@example.org"]
    assert vault.notifying.contacts.choices(holder, holder.safe_id) == choices
    vault.close()
