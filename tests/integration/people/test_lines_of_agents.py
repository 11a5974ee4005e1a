"""Each person behind a system has a line of their own: a window of one agent hides no read of another."""

from __future__ import annotations

from dataclasses import replace

from vault.domain.actors import Actor, Role

SYSTEM = Actor(
    "sys_0", Role.SYSTEM, administration_id="etat-civil", scopes=frozenset({"acts:read"}), agent="agt_a"
)


def test_two_agents_behind_one_system_are_two_lines(world):
    town = world.registrar.administration_id
    document = world.issue()
    first = replace(SYSTEM, administration_id=town)
    before = len(world.journal(document))
    for actor, lines in (
        (first, 1),
        (first, 1),
        (replace(first, agent="agt_b"), 2),
        (replace(first, agent=""), 3),
        (replace(first, service="archives"), 4),
        (replace(first, agent="agt_b"), 4),
    ):
        world.read(document, actor)
        assert len(world.journal(document)) - before == lines, actor


def test_a_refused_system_has_one_line_whomever_it_names(world, refused):
    document = world.issue()
    before = len(world.journal(document))
    for number in range(3):
        stranger = replace(SYSTEM, id="sys_1", administration_id="employeur", agent=f"agt_{number}")
        assert refused(lambda: world.read(document, stranger)) == "NOT_FOUND"  # noqa: B023
    assert len(world.journal(document)) - before == 1
