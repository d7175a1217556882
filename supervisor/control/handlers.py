"""What the routes do: each asks creched, and makes an answer of what it is told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import trio

from supervisor.control import events as event_stream
from supervisor.control import page
from supervisor.control.events import stream
from supervisor.control.logs import log_stream
from supervisor.control.request import Access, Later, Refused, Response, Stream, answer
from supervisor.control.schema import plain
from supervisor.control.table import Call
from supervisor.control.types import Supervised
from supervisor.network.drawing import svg
from supervisor.nursery import Refused as NotNow
from supervisor.status import WorkloadStatus


async def file(creched: Supervised, call: Call) -> Response:
    """A file of the status page."""
    return page.file(call.route.path)


async def openapi(creched: Supervised, call: Call) -> Response:
    """Made when it is asked for: few ever do."""
    from supervisor.control.openapi import document

    return answer(document())


async def metrics(creched: Supervised, call: Call) -> Response:
    """prometheus-client is imported by the first scrape, and costs those nothing who have none."""
    from supervisor.control.metrics import TYPE, expose

    text = expose(creched.about(), creched.nursery.statuses(), creched.counts(), creched.usages())
    return Response(200, text, TYPE)


async def about(creched: Supervised, call: Call) -> Response:
    """creched itself."""
    return answer(creched.about())


async def statuses(creched: Supervised, call: Call) -> Response:
    """All workloads."""
    return answer({"workloads": [plain(found) for found in creched.nursery.statuses()]})


async def status(creched: Supervised, call: Call) -> Response:
    """One workload."""
    return answer(plain(_status(creched, call)))


async def usage(creched: Supervised, call: Call) -> Response:
    """Every container."""
    return answer({"usage": [plain(found) for found in creched.usages()]})


async def networks(creched: Supervised, call: Call) -> Response:
    """As they are now."""
    return answer(plain(creched.networks()))


async def networks_svg(creched: Supervised, call: Call) -> Response:
    """For the status page, which shows it as an image."""
    return page.drawing(svg(plain(creched.networks())))


async def events(creched: Supervised, call: Call) -> Stream:
    """Replay, then live."""
    given = call.parameters
    since = given.get("since", 0)
    if "tail" in given:
        since = max(0, creched.journal.last - given["tail"])
    # A browser that reconnects sends this, and the same query as before.
    last = call.request.headers.get("last-event-id", "")
    if last.isascii() and last.isdecimal() and len(last) < 16:
        since = int(last)
    if since > creched.journal.last:
        raise Refused(
            409,
            f"since: there is no event {since} yet, the newest is {creched.journal.last}; "
            "numbers begin anew at each boot",
        )
    return Stream(
        stream(
            creched.journal,
            creched.closing,
            since,
            given["follow"],
            given.get("workload"),
            public=call.request.access is Access.PAGE,
        ),
        event_stream.TYPE,
    )


async def logs(creched: Supervised, call: Call) -> Stream:
    """What is kept, then what comes."""
    given = call.parameters
    _status(creched, call)
    try:
        records = creched.logs(given["name"], given["lines"], given["follow"])
    except NotNow as error:
        raise Refused(409, str(error)) from None
    return Stream(log_stream(records, creched.closing), event_stream.TYPE)


async def wait(creched: Supervised, call: Call) -> Later:
    """Until it is so, or not soon enough."""
    name, target = call.parameters["name"], call.parameters["for"]
    timeout = call.parameters["timeout"]
    _status(creched, call)

    async def response() -> Response:
        with trio.move_on_after(timeout):
            try:
                await creched.nursery.reached(name, target)
                return answer(plain(creched.nursery.status(name)))
            except KeyError:
                return _unknown(name).response()
            except NotNow as error:
                return Refused(409, str(error)).response()
        return Refused(504, f"{name} was not {target} within {timeout:g} s").response()

    return Later(response)


async def command(creched: Supervised, call: Call) -> Response:
    """Something is asked of one workload; what comes of it, events and status tell."""
    name, action = call.parameters["name"], call.route.operation
    _status(creched, call)
    keepers = creched.nursery
    acts: dict[str, Callable[[str, str], None]] = {
        "start": keepers.start,
        "stop": keepers.stop,
        "restart": keepers.restart,
        "reset": keepers.reset,
    }
    who = call.request.who
    number = _signal(call.parameters["signal"]) if action == "kill" else 0
    creched.asked(action, name, call.request)
    try:
        if action == "kill":
            keepers.kill(name, number, who)
        else:
            acts[action](name, who)
    except NotNow as error:
        raise Refused(409, str(error)) from None
    return answer({"accepted": action}, 202)


async def plan(creched: Supervised, call: Call) -> Response:
    """Changes nothing."""
    return answer(await creched.plan())


async def reload(creched: Supervised, call: Call) -> Response:
    """As SIGHUP does."""
    creched.asked("reload", None, call.request)
    return answer(await creched.reload(call.request.who))


async def reexec(creched: Supervised, call: Call) -> Response:
    """The answer goes out first."""
    creched.asked("reexec", None, call.request)
    await creched.reexec(call.request.who)
    return answer({"accepted": "reexec"}, 202)


def _status(creched: Supervised, call: Call) -> WorkloadStatus:
    name: str = call.parameters["name"]
    try:
        return creched.nursery.status(name)
    except KeyError:
        raise _unknown(name) from None


def _unknown(name: str) -> Refused:
    return Refused(404, f"there is no workload {name}")


def _signal(text: str) -> int:
    from supervisor.workload.kinds import signal_number

    value: Any = int(text) if text.isdecimal() else text
    try:
        return signal_number(value)
    except ValueError:
        message = f"signal: expected a signal such as SIGTERM or a number, found {text}"
        raise Refused(400, message) from None
