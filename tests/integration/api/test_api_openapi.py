"""The description of the interface is whole, and says what the service does."""

from __future__ import annotations

import json
import re

import pytest

from api.errors import PROBLEM_TYPE
from api.rules import routes_of
from vault.messages.catalogue import CATALOGUE


@pytest.fixture(scope="module")
def schema(app):
    return json.loads(json.dumps(app.openapi()))


def operations(schema):
    return [
        (method, path, operation)
        for path, methods in schema["paths"].items()
        for method, operation in methods.items()
    ]


def test_it_is_openapi_3_1_and_served(schema, client):
    assert schema["openapi"].startswith("3.1")
    served = client.get("/openapi.json")
    assert served.json() == schema
    assert schema["components"]["securitySchemes"]["persona"]["scheme"] == "bearer"


def test_every_reference_leads_somewhere(schema):
    text = json.dumps(schema)
    for name in set(re.findall(r'"#/components/schemas/([^"]+)"', text)):
        assert name in schema["components"]["schemas"], name
    assert "HTTPValidationError" not in text


def test_every_route_is_described(schema):
    seen = set()
    for method, path, operation in operations(schema):
        assert operation["summary"], path
        assert operation["tags"], path
        assert operation["operationId"] not in seen
        seen.add(operation["operationId"])
        answers = operation["responses"]
        assert any(status.startswith("2") for status in answers), (method, path)
        errors = {status: answer for status, answer in answers.items() if status >= "4"}
        assert "500" in errors
        assert "421" in errors
        for status, answer in errors.items():
            content = answer["content"]
            assert PROBLEM_TYPE in content, (path, status)
            for code in re.findall(r"`([A-Z_]+)`", answer["description"]):
                assert str(CATALOGUE[code].status) == status


def test_routes_that_want_a_login_say_so(schema, client):
    for method, path, operation in operations(schema):
        answer = client.request(method.upper(), path)
        security = operation.get("security", [])
        wants = ({"persona": []} in security or {"share": []} in security) and {} not in security
        assert (answer.status_code == 401) == wants, (method, path, answer.status_code)


# Addresses for programs; everything else is pages.
FOR_PROGRAMS = ("/v1/", "/ledger/", "/tsa", "/healthz", "/readyz", "/metrics")


def test_every_application_route_of_the_interface_is_in_it_and_no_page_is(schema, app):
    # HEAD goes with its GET.
    described = {(method.upper(), path) for method, path, _ in operations(schema) if method != "head"}
    there = {(method, path) for method, path in routes_of(app) if path.startswith(FOR_PROGRAMS)}
    assert len(there) > 50
    assert described == {(method, path.replace(":path}", "}")) for method, path in there}


def test_writes_describe_key_and_body(schema):
    for method, path, operation in operations(schema):
        if method == "post" and path in {"/v1/acts", "/v1/attachments"}:
            names = {parameter["name"]: parameter for parameter in operation["parameters"]}
            assert names["Idempotency-Key"]["required"]
            assert names["Probans-Document"]["example"]
            body = operation["requestBody"]["content"]
            assert set(body) == {"application/octet-stream", "multipart/form-data"}
            assert list(body["multipart/form-data"]["schema"]["properties"]) == ["document", "file"]
