"""The service as it runs, its log in JSON: every line of standard error is one object, and names nobody."""

from __future__ import annotations

import json
from pathlib import Path

from tests.e2e.harness.client import agent, holder
from tests.e2e.harness.samples import Sample
from tests.e2e.harness.server import Server

MARK = "zqSecret7xv"


def test_every_line_is_an_object_that_names_nobody(tmp_path: Path) -> None:
    server = Server(tmp_path / "data", workers=2, settings={"LOG": "json", "PUBLISH_INTERVAL": 0.05})
    try:
        assert agent(server).send(Sample(0, is_act=True)).status == 201
        assert holder(server).ask("GET", f"/v1/documents/{MARK}").status == 404
        assert holder(server).ask("GET", f"/{MARK}?q={MARK}").status == 404
        assert server.is_alive
    finally:
        server.stop()
    lines = [each for each in server.log.read_text("utf-8").splitlines() if each not in server._lines]
    told = [json.loads(line) for line in lines]
    assert all({"time", "level", "logger", "message"} <= set(each) for each in told)
    access = [each for each in told if each["logger"] == "probans.access"]
    assert {each["route"] for each in access} >= {"/v1/acts", "/v1/documents/{document_id}", "-"}
    assert all(set(each) == set(access[0]) for each in access)
    text = "\n".join(lines)
    for hidden in (MARK, "camille", "agent-etat-civil", *server.tokens.values()):
        assert str(hidden) not in text, hidden
