"""Every operation of the control sockets. docs, /openapi.json and the checks come from `ROUTES`."""

from __future__ import annotations

from dataclasses import dataclass

from supervisor.control import handlers
from supervisor.control.request import Access
from supervisor.control.schema import Schema, of_type
from supervisor.control.table import NAME, Parameter, Route
from supervisor.control.usage import Usage
from supervisor.network.view import Topology
from supervisor.status import WorkloadStatus

TARGETS = ("started", "ready", "healthy", "exited", "completed", "failed")


@dataclass(frozen=True, slots=True)
class About:
    """creched itself."""

    release: str
    pid: int
    boot: str
    run: str
    root: str
    directory: str
    now: float
    """The clock of all times, CLOCK_BOOTTIME, in seconds."""
    time: str
    """The same moment as time of day."""
    seq: int
    """Number of the newest event."""
    first_seq: int
    """Number of the oldest event that can still be read."""
    workloads: int


def _list_of(name: str, item: object) -> Schema:
    return {
        "type": "object",
        "properties": {name: {"type": "array", "items": of_type(item)}},
        "required": [name],
    }


_NAME = Parameter("name", NAME, "Name of the workload.", where="path", required=True)
_SINCE = Parameter(
    "since",
    {"type": "integer", "minimum": 0},
    "Number of the last event that is known already; the header Last-Event-ID comes before it. "
    "409 if there is no such event yet: then it is of an earlier boot.",
)
_TAIL = Parameter(
    "tail",
    {"type": "integer", "minimum": 0},
    "In place of `since`: begin with so many of the last events.",
)
_FOLLOW = Parameter(
    "follow", {"type": "boolean", "default": True}, "Whether to go on with what happens next."
)
_LINES = Parameter(
    "lines",
    {"type": "integer", "minimum": 0, "default": 100},
    "Begin with so many of the last lines.",
)
_WORKLOAD = Parameter("workload", NAME, "Only the events of this one.")
_FOR = Parameter("for", {"type": "string", "enum": list(TARGETS)}, "For what.", required=True)
_TIMEOUT = Parameter(
    "timeout",
    {"type": "number", "minimum": 0, "maximum": 86400, "default": 60},
    "Seconds after which the answer is 504.",
)
_SIGNAL = Parameter(
    "signal",
    {"type": "string", "pattern": "^[A-Za-z0-9+-]{1,16}$", "default": "SIGKILL"},
    "Name or number of the signal.",
)

_DONE: Schema = {
    "type": "object",
    "properties": {"accepted": {"type": "string"}},
    "required": ["accepted"],
}


def _command(action: str, meaning: str, *parameters: Parameter) -> Route:
    return Route(
        "POST",
        f"/workloads/{{name}}/{action}",
        action,
        meaning,
        handlers.command,
        needs=Access.ADMIN,
        parameters=(_NAME, *parameters),
        schema=_DONE,
        errors=(404, 409),
    )


def _file(path: str, meaning: str, kind: str) -> Route:
    name = path.lstrip("/") or "index.html"
    return Route(
        "GET", path, name.replace(".", "-"), meaning, handlers.file, Access.PAGE, type=kind
    )


ROUTES: tuple[Route, ...] = (
    _file("/", "The status page.", "text/html"),
    _file("/page.css", "How it looks.", "text/css"),
    _file("/page.js", "What keeps it up to date.", "text/javascript"),
    Route(
        "GET",
        "/openapi.json",
        "openapi",
        "This description, as OpenAPI 3.1.",
        handlers.openapi,
        Access.PAGE,
        schema={"type": "object"},
    ),
    Route(
        "GET",
        "/metrics",
        "metrics",
        "Metrics in Prometheus' text format, read when they are asked for.",
        handlers.metrics,
        Access.PAGE,
        type="text/plain",
    ),
    Route(
        "GET",
        "/about",
        "about",
        "creched itself.",
        handlers.about,
        Access.PAGE,
        schema=of_type(About),
    ),
    Route(
        "GET",
        "/workloads",
        "statuses",
        "The status of every workload, by name.",
        handlers.statuses,
        Access.PAGE,
        schema=_list_of("workloads", WorkloadStatus),
    ),
    Route(
        "GET",
        "/workloads/{name}",
        "status",
        "The status of one workload.",
        handlers.status,
        Access.PAGE,
        parameters=(_NAME,),
        schema=of_type(WorkloadStatus),
        errors=(404,),
    ),
    Route(
        "GET",
        "/usage",
        "usage",
        "What every container uses now.",
        handlers.usage,
        Access.PAGE,
        schema=_list_of("usage", Usage),
    ),
    Route(
        "GET",
        "/networks",
        "networks",
        "Networks, interfaces of workloads that are attached to them, and who has which address.",
        handlers.networks,
        Access.PAGE,
        schema=of_type(Topology),
    ),
    Route(
        "GET",
        "/networks.svg",
        "networks-svg",
        "The same as a drawing.",
        handlers.networks_svg,
        Access.PAGE,
        type="image/svg+xml",
    ),
    Route(
        "GET",
        "/events",
        "events",
        "Events (docs/events.md) as server-sent events; their ids are the numbers of the events. "
        "An event `missed` stands for those that are not kept any more.",
        handlers.events,
        Access.PAGE,
        parameters=(_SINCE, _TAIL, _FOLLOW, _WORKLOAD),
        type="text/event-stream",
        errors=(409,),
    ),
    Route(
        "GET",
        "/workloads/{name}/wait",
        "wait",
        "Answers with the status of the workload once it is started, ready, …",
        handlers.wait,
        Access.READ,
        parameters=(_NAME, _FOR, _TIMEOUT),
        schema=of_type(WorkloadStatus),
        errors=(404, 409, 504),
    ),
    Route(
        "GET",
        "/workloads/{name}/logs",
        "logs",
        "What a workload writes, as server-sent events: each holds `line`, a record as it is kept. "
        "An event `failed` tells why there are none.",
        handlers.logs,
        Access.READ,
        parameters=(_NAME, _LINES, _FOLLOW),
        type="text/event-stream",
        errors=(404, 409),
    ),
    _command("start", "Start it, also when it has been stopped, has ended or has failed."),
    _command("stop", "End it gracefully, and leave it stopped, also after a restart of creched."),
    _command("restart", "End it gracefully, and start it again."),
    _command("kill", "Send its first process a signal; what follows is up to its policy.", _SIGNAL),
    _command("reset", "Forget its restarts and failures."),
    Route(
        "GET",
        "/plan",
        "plan",
        "What a reload would do, and which key leads to it.",
        handlers.plan,
        schema={},
    ),
    Route(
        "POST",
        "/reload",
        "reload",
        "Read the workload directories and the networks of creched.toml anew, and do what `plan` "
        "says.",
        handlers.reload,
        Access.ADMIN,
        schema={},
    ),
    Route(
        "POST",
        "/reexec",
        "reexec",
        "Replace creched in place, by the program that is installed now; nothing is stopped.",
        handlers.reexec,
        Access.ADMIN,
        schema=_DONE,
        errors=(409,),
    ),
)
