"""`probans access table` and docs/access.md say what the program decides, all of it."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import pytest
from typer.testing import CliRunner

from api.rules import PUBLIC, RULES
from vault import access
from vault.authorization.access_table import RELATIONS, ROLES, cells, document, groups, markdown
from vault.cli.access import route_rules
from vault.cli.main import build
from vault.domain.actors import Role

ROOT = Path(__file__).resolve().parents[2]


def printed(*options: str) -> str:
    done = CliRunner().invoke(build(["access"]), ["access", "table", *options])
    assert done.exit_code == 0, done.output
    return done.output


def test_every_rule_is_in_it_and_nothing_else() -> None:
    said = document(RULES)
    rules = {(each["role"], each["action"], each["relation"]) for each in said["rules"]}
    assert rules == {tuple(each.value for each in rule) for rule in access.RULES}
    assert len(said["rules"]) == len(rules)
    routes = {(each["method"], each["path"]): each["action"] for each in said["routes"]}
    assert routes == {route: None if asked == PUBLIC else asked.value for route, asked in RULES.items()}


def test_every_action_role_and_relation_has_its_place() -> None:
    listed = [action for _, actions in groups() for action in actions]
    assert sorted(listed) == sorted(access.Action)
    assert set(ROLES) == set(Role)
    assert set(RELATIONS) == set(access.Relation)


def test_scopes_are_those_that_decide() -> None:
    for action in access.Action:
        for role in Role:
            for cell in cells(action, role):
                needed = access.SYSTEM_SCOPES[action] if role is Role.SYSTEM else ""
                assert cell.registered == needed
                table = {
                    access.Relation.MANDATE: access.MANDATE_SCOPES,
                    access.Relation.CONSENT: access.CONSENT_SCOPES,
                    access.Relation.SHARE: access.SHARE_SCOPES,
                }.get(cell.relation, {})
                assert set(cell.scopes) == {word for word, actions in table.items() if action in actions}
                assert bool(cell.scopes) is bool(table)


def test_the_command_prints_the_rules_of_the_installed_server() -> None:
    assert route_rules() is RULES
    assert json.loads(printed("--json")) == json.loads(json.dumps(document(RULES)))
    assert printed("--markdown") == markdown(RULES)


def test_the_table_for_people_names_every_action_and_route() -> None:
    table = printed()
    for action in access.Action:
        assert f"│ {action.value} " in table
    for method, path in RULES:
        assert f"{method} {path}\n" in table or f"{method} {path} " in table


def test_one_form_at_a_time() -> None:
    assert CliRunner().invoke(build(["access"]), ["access", "table", "--json", "--markdown"]).exit_code == 2


def test_the_page_is_up_to_date() -> None:
    made = runpy.run_path(str(ROOT / "tools" / "access_doc.py"))["document"]()
    assert (ROOT / "docs" / "access.md").read_text("utf-8") == made, "run tools/access_doc.py"


@pytest.mark.parametrize("role", [role.value for role in Role])
def test_the_page_tells_of_every_role(role: str) -> None:
    assert f"| `{role}` |" in (ROOT / "docs" / "access.md").read_text("utf-8")
