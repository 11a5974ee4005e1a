"""Requests that are answered together: who is alone does not wait, nobody is forgotten or gets another's answer."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from contextvars import ContextVar

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from api import gathering
from api.gathering import Answer, Asked, Gathering
from vault.errors import Refused, Unavailable

FAILURES = {"broken": OSError("broken"), "astray": StopIteration()}
NAME: ContextVar[str] = ContextVar("name", default="")


def request(name: str) -> Request:
    return Request({"type": "http", "headers": [], "path": name})


def echo(groups: list[list[str]], pause: Callable[[], object] = lambda: None):
    def work(group: Sequence[Asked]) -> Sequence[Answer]:
        names = [asked.request.scope["path"] for asked in group]
        groups.append(names)
        pause()
        return [
            Refused("NAME_INVALID") if name.startswith("bad") else PlainTextResponse(name) for name in names
        ]

    return work


async def ask(desk: Gathering, name: str) -> bytes:
    return bytes((await desk.answer(request(name))).body)


def test_one_that_comes_alone_is_a_group_of_its_own() -> None:
    groups: list[list[str]] = []

    async def main() -> float:
        desk, begun = Gathering(echo(groups)), time.monotonic()
        for name in ("a", "b"):
            assert await ask(desk, name) == name.encode()
        return time.monotonic() - begun

    assert asyncio.run(main()) < 1
    assert groups == [["a"], ["b"]]


def test_what_waits_meanwhile_is_the_next_group_and_each_gets_its_own_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gathering, "PATIENCE", (0.0, 60.0))
    groups: list[list[str]] = []
    gate = threading.Event()

    async def main() -> list[bytes | BaseException]:
        desk = Gathering(echo(groups, lambda: gate.wait(10)))
        first = asyncio.create_task(ask(desk, "first"))
        await asyncio.sleep(0.05)
        others = [asyncio.create_task(ask(desk, name)) for name in ("a", "bad", "c")]
        await asyncio.sleep(0.05)
        gate.set()
        return await asyncio.gather(first, *others, return_exceptions=True)

    first, a, bad, c = asyncio.run(main())
    assert (first, a, c) == (b"first", b"a", b"c")
    assert isinstance(bad, Refused)
    assert groups == [["first"], ["a", "bad", "c"]]


@pytest.mark.parametrize("gap", [1.0, 0.0])
def test_a_crowd_that_comes_back_is_one_group_again(monkeypatch: pytest.MonkeyPatch, gap: float) -> None:
    monkeypatch.setattr(gathering, "GAP_S", gap)
    monkeypatch.setattr(gathering, "COMPANY_S", 10.0)
    groups: list[list[str]] = []

    async def main() -> None:
        desk = Gathering(echo(groups, lambda: time.sleep(0.02)))

        async def client(number: int) -> None:
            await ask(desk, str(number))
            await asyncio.sleep(0.04 * number)
            await ask(desk, str(number))

        await asyncio.gather(*map(client, range(4)))

    asyncio.run(main())
    assert groups[0] == ["0", "1", "2", "3"]
    assert groups[1] == (["0", "1", "2", "3"] if gap else ["0"])


def test_a_crowd_that_is_complete_waits_for_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gathering, "GAP_S", 60.0)
    monkeypatch.setattr(gathering, "COMPANY_S", 60.0)
    groups: list[list[str]] = []

    async def main() -> None:
        desk = Gathering(echo(groups))
        await asyncio.gather(*(ask(desk, name) for name in "ab"))
        first = asyncio.create_task(ask(desk, "c"))
        await asyncio.sleep(0.05)
        await asyncio.wait_for(asyncio.gather(first, ask(desk, "d")), 10)

    asyncio.run(main())
    assert groups == [["a", "b"], ["c", "d"]]


def test_a_full_group_begins_beside_the_one_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gathering, "MOST", 3)
    monkeypatch.setattr(gathering, "PATIENCE", (0.0, 60.0))
    groups: list[list[str]] = []
    both = threading.Barrier(2, timeout=10)

    async def main() -> None:
        desk = Gathering(echo(groups, both.wait))
        tasks = []
        for name in "abcd":
            tasks.append(asyncio.create_task(ask(desk, name)))
            await asyncio.sleep(0.05)
        await asyncio.gather(*tasks)

    asyncio.run(main())
    assert groups == [["a"], ["b", "c", "d"]]


@pytest.mark.parametrize("limit", ["GAP_S", "COMPANY_S"])
def test_a_crowd_that_does_not_come_back_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    monkeypatch.setattr(gathering, "GAP_S", 60.0)
    monkeypatch.setattr(gathering, "COMPANY_S", 60.0)
    monkeypatch.setattr(gathering, limit, 1.0)
    groups: list[list[str]] = []

    async def main() -> list[float]:
        desk, took = Gathering(echo(groups)), []
        await asyncio.gather(*(ask(desk, name) for name in "abc"))
        for name in "de":
            begun = time.monotonic()
            await ask(desk, name)
            took.append(time.monotonic() - begun)
        return took

    waited, alone = asyncio.run(main())
    assert groups == [["a", "b", "c"], ["d"], ["e"]]
    assert 1 <= waited < 30
    assert alone < 1


def test_who_has_waited_long_enough_does_not_wait_for_the_group_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gathering, "PATIENCE", (0.0, 0.05, 0.1))
    groups: list[list[str]] = []
    gate = threading.Event()

    async def main() -> None:
        desk = Gathering(echo(groups, lambda: gate.wait(10)))
        tasks = []
        for number in range(5):
            tasks.append(asyncio.create_task(ask(desk, str(number))))
            await asyncio.sleep(0.15)
        gate.set()
        await asyncio.gather(*tasks)

    asyncio.run(main())
    assert groups == [["0"], ["1"], ["2"], ["3"], ["4"]]


def test_a_group_has_its_limit_and_the_room_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gathering, "MOST", 3)
    monkeypatch.setattr(gathering, "ROOM", 7)
    groups: list[list[str]] = []
    gate = threading.Event()

    async def main() -> list[bytes | BaseException]:
        desk = Gathering(echo(groups, lambda: gate.wait(10)))
        tasks = [asyncio.create_task(ask(desk, str(number))) for number in range(9)]
        await asyncio.sleep(0.1)
        gate.set()
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        assert await ask(desk, "later") == b"later"
        return answers

    answers = asyncio.run(main())
    assert [each.code for each in answers if isinstance(each, Unavailable)] == ["BUSY", "BUSY"]
    assert [len(group) for group in groups] == [3, 3, 1, 1]


def test_work_that_fails_whole_and_callers_that_are_gone_leave_it_in_order() -> None:
    gate = threading.Event()
    seen: list[str] = []

    def work(group: Sequence[Asked]) -> Sequence[Answer]:
        gate.wait(10)
        seen.extend(asked.context[NAME] for asked in group)
        if group[0].request.scope["path"] in FAILURES:
            raise FAILURES[group[0].request.scope["path"]]
        answer: Response = PlainTextResponse("x")
        return [answer for _ in group]

    async def main() -> None:
        desk = Gathering(work)
        NAME.set("one")
        gone = asyncio.create_task(ask(desk, "gone"))
        await asyncio.sleep(0.05)
        gone.cancel()
        gate.set()
        NAME.set("two")
        with pytest.raises(OSError, match="broken"):
            await ask(desk, "broken")
        with pytest.raises(RuntimeError, match="astray"):
            await ask(desk, "astray")
        assert await ask(desk, "x") == b"x"

    asyncio.run(main())
    assert seen == ["one", "two", "two", "two"]
