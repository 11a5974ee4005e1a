"""What a page demands a fresh proof for, the same session does not get over REST without one."""

from __future__ import annotations

from datetime import timedelta

import pytest

from api.browser import FORM_HEADER

DEMANDING = [
    ("PUT", "contacts", {"contacts": []}),
    ("DELETE", "contacts/cnt_00000000000000000000000000", None),
    ("POST", "contacts/cnt_00000000000000000000000000/code", None),
    ("POST", "contacts/cnt_00000000000000000000000000/confirmation", {"code": "0123456789"}),
    ("PUT", "preferences", {"language": "fr", "events": {}}),
    ("GET", "journal.json", None),
]


@pytest.mark.parametrize(("method", "rest", "body"), DEMANDING, ids=[f"{m} {r}" for m, r, _ in DEMANDING])
def test_an_old_proof_is_not_enough_over_rest_either(browser, login_vault, clock, method, rest, body):
    browser.become("camille")
    camille = login_vault.personas.named("camille").actor
    path = f"/v1/safes/{camille.safe_id}/{rest}"

    def ask() -> tuple[int, str]:
        headers = {FORM_HEADER: browser.form_token(), "Accept": "application/json"}
        answer = browser.http.request(method, path, headers=headers, json=body)
        code = answer.json().get("code", "") if "problem" in answer.headers["content-type"] else ""
        return answer.status_code, code

    assert ask()[1] != "STEP_UP_REQUIRED"
    clock.ahead += timedelta(minutes=16)
    assert ask() == (401, "STEP_UP_REQUIRED")
