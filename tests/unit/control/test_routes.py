"""What is asked for is done, by those who may; everything else is refused in words."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from openapi_spec_validator import validate
from prometheus_client.parser import text_string_to_metric_families

from supervisor.control.openapi import document
from supervisor.control.request import Access
from supervisor.control.routes import ROUTES
from tests.unit.control.peers import PROBLEM, Creched

WHO = "uid 0, pid 4711"


@pytest.fixture
def creched(tmp_path: Path) -> Creched:
    """One, with the workloads web and db."""
    return Creched(tmp_path)


async def test_statuses(creched: Creched) -> None:
    """Every workload, by name; times, enums and tuples are plain JSON."""
    status, found = await creched.ask("/workloads")

    assert status == 200
    assert [workload["name"] for workload in found["workloads"]] == ["db", "web"]
    assert found["workloads"][1]["after"] == ["db:ready"]
    assert found["workloads"][0]["problems"] == [
        {"file": PROBLEM.file, "key": None, "message": "not TOML", "line": 3}
    ]


@pytest.mark.parametrize("path", ["/about", "/workloads", "/workloads/web", "/usage"])
async def test_answers_are_as_described(creched: Creched, path: str) -> None:
    """What OpenAPI promises is what comes."""
    status, found = await creched.ask(path)
    described = document()["paths"][path.replace("web", "{name}")]["get"]["responses"]["200"]

    assert status == 200
    jsonschema.validate(found, described["content"]["application/json"]["schema"])


@pytest.mark.parametrize("action", ["stop", "restart", "start"])
async def test_commands(creched: Creched, action: str) -> None:
    """They reach the nursery with who asked, and an event says so first."""
    status, found = await creched.ask(f"/workloads/web/{action}", "POST")

    assert (status, found) == (202, {"accepted": action})
    assert creched.keepers.asked == [(action, "web", WHO)]
    (event,) = creched.named("control")
    assert event["action"] == action
    assert event["workload"] == "web"
    assert (event["who"], event["uid"], event["pid"]) == (WHO, 0, 4711)


@pytest.mark.parametrize(
    ("signal", "number"), [("", 9), ("?signal=HUP", 1), ("?signal=SIGUSR1", 10), ("?signal=15", 15)]
)
async def test_kill(creched: Creched, signal: str, number: int) -> None:
    """The signal by name or number."""
    await creched.ask(f"/workloads/web/kill{signal}", "POST")

    assert creched.keepers.asked == [("kill", "web", number, WHO)]


@pytest.mark.parametrize(
    ("path", "method", "status", "words"),
    [
        ("/nothing", "GET", 404, "there is nothing at /nothing"),
        ("/workloads/cache", "GET", 404, "there is no workload cache"),
        ("/workloads/cache/stop", "POST", 404, "there is no workload cache"),
        ("/workloads/a%2Fb", "GET", 404, "there is nothing"),
        ("/workloads/..", "GET", 400, "name: expected"),
        ("/workloads/web", "DELETE", 405, "expected GET, HEAD, found DELETE"),
        ("/workloads/web/stop", "GET", 405, "expected POST, found GET"),
        ("/workloads/db/start", "POST", 409, "creched is stopping"),
        ("/workloads/web/kill?signal=SIGNONE", "POST", 400, "signal: expected a signal such as"),
        ("/workloads/web/kill?signal=999", "POST", 400, "signal: expected a signal such as"),
        ("/events?since=-1", "GET", 400, "since: expected a whole number"),
        ("/events?since=1&since=2", "GET", 400, "since: given twice"),
        ("/events?sinse=1", "GET", 400, "unknown parameter sinse (known: since, tail, follow"),
        ("/events?follow=yes", "GET", 400, "follow: expected true or false"),
        ("/workloads/web/wait", "GET", 400, "for: has to be given"),
        ("/workloads/web/wait?for=ever", "GET", 400, "for: expected one of started, ready"),
        ("/workloads/web/wait?for=ready&timeout=9e9", "GET", 400, "timeout: expected a number"),
        ("/workloads/web/wait?for=ready&timeout=99999", "GET", 400, "timeout: expected at most"),
        ("/plan", "GET", 409, "this creched cannot plan"),
    ],
)
async def test_refusals(creched: Creched, path: str, method: str, status: int, words: str) -> None:
    """Bad requests change nothing and are told what was expected."""
    found = await creched.ask(path, method)

    assert found[0] == status
    assert words in found[1]["error"]
    assert creched.keepers.asked == []


@pytest.mark.parametrize("path", ["/workloads", "/metrics", "/events", "/", "/workloads/nobody"])
async def test_head(creched: Creched, path: str) -> None:
    """As GET, without the body; a stream ends at once, and none is begun."""
    async with creched.connected() as client:
        head = await client.begin(path, "HEAD")
        assert await client.body() == b""
    async with creched.connected() as client:
        expected = await client.begin(path)

    assert (head.status_code, dict(head.headers).keys()) == (
        expected.status_code,
        dict(expected.headers).keys(),
    )
    assert (await creched.ask("/workloads/web/stop", "HEAD"))[0] == 405
    assert creched.keepers.asked == []


@pytest.mark.parametrize("route", [route for route in ROUTES if route.method != "GET"])
async def test_the_read_only_socket_changes_nothing(creched: Creched, route: object) -> None:
    """Nothing but GET is done on it, whoever asks."""
    path = route.path.replace("{name}", "web")  # type: ignore[attr-defined]
    for access in (Access.READ, Access.PAGE):
        status, found = await creched.ask(path, "POST", access)
        assert status == 403
        assert "admin socket" in found["error"] or "status page only" in found["error"]
    assert creched.keepers.asked == []
    assert creched.named("control") == []


async def test_a_mistake_in_creched(creched: Creched) -> None:
    """Its event has the traceback, its answer has not; it goes on."""
    status, found = await creched.ask("/workloads/web/reset", "POST")

    assert status == 500
    assert found == {"error": "a mistake in creched; its events tell more"}
    (event,) = creched.named("control-fault")
    assert event["error"] == "ZeroDivisionError"
    assert "by mistake" in str(event["traceback"])
    assert (await creched.ask("/about"))[0] == 200


async def test_wait(creched: Creched, autojump_clock: object) -> None:
    """Answers when it is so, and with 504 when it is not soon enough."""
    status, found = await creched.ask("/workloads/web/wait?for=ready&timeout=5")
    assert (status, found["error"]) == (504, "web was not ready within 5 s")

    creched.keepers.moved.set()
    status, found = await creched.ask("/workloads/web/wait?for=ready&timeout=5")
    assert (status, found["name"]) == (200, "web")


async def test_what_is_waited_for_goes_away(creched: Creched) -> None:
    """It is said that the workload is not there any more."""
    async with creched.connected() as client:
        del creched.keepers.all["db"]
        creched.keepers.moved.set()
        assert (await client.ask("/workloads/db/wait?for=ready"))[0] == 404


def test_the_description_is_openapi() -> None:
    """By the validator of the OpenAPI initiative's schemas; every route is in it."""
    described = document()

    validate(described)
    assert {
        (method.upper(), path) for path, methods in described["paths"].items() for method in methods
    } == {(route.method, route.path) for route in ROUTES}
    assert json.loads(json.dumps(described)) == described
    shown = described["paths"]["/workloads/{name}"]["get"]["responses"]["200"]["content"]
    schema = shown["application/json"]["schema"]
    assert "seconds since boot" in schema["description"]
    assert "next_attempt_at" in schema["required"]


async def test_metrics(creched: Creched) -> None:
    """Prometheus' own parser reads them; statuses, restarts and causes are among them."""
    creched.outside.note({"event": "exited", "workload": "web", "cause": "oom"})
    async with creched.connected() as client:
        head = await client.begin("/metrics")
        text = (await client.body()).decode()

    assert dict(head.headers)[b"content-type"].startswith(b"text/plain; version=")
    found = {
        (sample.name, tuple(sorted(sample.labels.values()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert found["creche_workload_status", ("running", "web")] == 1
    assert found["creche_workload_status", ("failed", "web")] == 0
    assert found["creche_workload_restarts_total", ("web",)] == 2
    assert found["creche_workload_exits_total", ("oom", "web")] == 1
    assert found["creche_workload_healthy", ("web",)] == 1
    assert ("creche_workload_healthy", ("db",)) not in found
    assert found["creche_workload_problems", ("db",)] == 1


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:80", "", "10.0.0.1"])
async def test_the_page_answers_no_other_host(creched: Creched, host: str) -> None:
    """DNS rebinding: a site whose name leads to 127.0.0.1 sends its own name as Host."""
    status, found = await creched.ask("/workloads", access=Access.PAGE, Host=host)

    assert status == 421
    assert "Host" in found["error"]


@pytest.mark.parametrize("host", ["localhost:80", "127.0.0.1:8080", "[::1]:80", "127.1.2.3"])
async def test_the_page_answers_loopback(creched: Creched, host: str) -> None:
    """By name and by address."""
    assert (await creched.ask("/workloads", access=Access.PAGE, Host=host))[0] == 200


async def test_the_page_has_nothing_from_elsewhere(creched: Creched) -> None:
    """Its headers forbid it, and its files do not name anything."""
    for path in ("/", "/page.css", "/page.js"):
        async with creched.connected(Access.PAGE) as client:
            head = await client.begin(path)
            body = await client.body()
        headers = dict(head.headers)
        assert headers[b"content-security-policy"].startswith(b"default-src 'none'; ")
        assert headers[b"x-content-type-options"] == b"nosniff"
        assert b"://" not in body
        assert b"innerHTML" not in body
        assert b"style=" not in body
