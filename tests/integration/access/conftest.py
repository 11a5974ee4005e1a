"""One world of real objects for the tests of the access rules."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.access.world import World
from vault.bootstrap import open_vault
from vault.settings import Settings


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, act_pdf: bytes) -> Iterator[World]:
    """Nothing happens in it by itself: no mail leaves, nobody sweeps."""
    vault = open_vault(
        Settings(
            data=tmp_path_factory.mktemp("access") / "data",
            publish_interval=0.05,
            # Wrong tokens are what is tried here; what limits them is tried elsewhere.
            rate_tokens=0,
            rate_lookups=0,
            rate_verifications=0,
            mail_host="127.0.0.1",
            mail_port=9,
            mail_security="none",
            mail_from="coffre@safe.example",
            address="https://coffre.example",
        ),
        background=False,
    )
    made = World(vault, act_pdf)
    yield made
    made.client.close()
    vault.close()
