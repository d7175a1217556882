"""[health]: a probe that is repeated as long as the container runs."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass

from supervisor.monitor.http import is_path
from supervisor.workload import kinds
from supervisor.workload.kinds import Kind
from supervisor.workload.schema import Field, Section, Values

PROBES = ("exec", "tcp", "http", "file")
_ADDRESS = re.compile(r"(?:(\[[0-9A-Fa-f:.]+\]|[0-9.]+|localhost):)?([0-9]{1,5})")
_URL = re.compile(r"http://(\[[0-9A-Fa-f:.]+\]|[0-9.]+|localhost)(?::([0-9]{1,5}))?(/.*)?")


@dataclass(frozen=True, slots=True)
class Exec:
    """A program in the container; exit status 0 is good."""

    args: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Tcp:
    """A connection in the container's network."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Http:
    """A GET in the container's network; a status below 400 is good."""

    host: str
    port: int
    path: str


@dataclass(frozen=True, slots=True)
class File:
    """A path in the container's root that has to exist."""

    path: str


Probe = Exec | Tcp | Http | File


@dataclass(frozen=True, slots=True)
class Health:
    """Times in seconds."""

    probe: Probe
    interval: float = 10.0
    timeout: float = 5.0
    start_period: float = 0.0
    failures: int = 3
    successes: int = 1


def _host(text: str | None) -> str:
    if text is None or text == "localhost":
        return "127.0.0.1"
    return str(ipaddress.ip_address(text.strip("[]")))


def _port(text: str) -> int:
    port = int(text)
    if not 1 <= port <= 65535:
        raise ValueError
    return port


def _tcp(value: object) -> Tcp:
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    match = _ADDRESS.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError
    return Tcp(_host(match[1]), _port(match[2]))


def _http(value: object) -> Http:
    match = _URL.fullmatch(value) if isinstance(value, str) else None
    if match is None or not is_path(match[3] or "/"):
        raise ValueError
    return Http(_host(match[1]), _port(match[2] or "80"), match[3] or "/")


TCP = Kind('a port, or an address such as "127.0.0.1:80" or "[::1]:80"', _tcp)
HTTP = Kind('a URL such as "http://127.0.0.1:8080/health" (no host names, no https)', _http)


def _rules(values: Values) -> Iterable[tuple[str, str]]:
    given = [key for key in PROBES if values[key] is not None]
    if len(given) != 1:
        found = " and ".join(given) or "none"
        yield given[-1] if given else "exec", f"expected one of {', '.join(PROBES)}, found {found}"
    if values["interval"] < 0.01:
        yield "interval", f"expected at least 10 ms, found {values['interval']:g} s"
    if values["timeout"] < 0.01:
        yield "timeout", f"expected at least 10 ms, found {values['timeout']:g} s"


def _make(values: Values) -> Health:
    found = {key: values[key] for key in PROBES if values[key] is not None}
    probe: Probe
    match found:
        case {"exec": args}:
            probe = Exec(args)
        case {"file": path}:
            probe = File(path)
        case {"tcp": probe} | {"http": probe}:
            pass
        case _:
            raise AssertionError("the rules let none pass")
    return Health(
        probe,
        values["interval"],
        values["timeout"],
        values["start-period"],
        values["failures"],
        values["successes"],
    )


HEALTH = Section(
    "health",
    "A probe that is repeated as long as the container runs. One that finds it unhealthy ends it, "
    "as a failure (`unhealthy`).",
    (
        Field(
            "exec",
            kinds.list_of(kinds.TEXT, 1),
            None,
            "none",
            "A program that is run in the container, as its user; exit status 0 is good. What it "
            "leaves running is killed.",
        ),
        Field("tcp", TCP, None, "none", "A connection in the container's network is good."),
        Field(
            "http",
            HTTP,
            None,
            "none",
            "A GET in the container's network; a status below 400 is good. Redirects are not "
            "followed.",
        ),
        Field(
            "file",
            kinds.ABSOLUTE,
            None,
            "none",
            "A path in the container's root; it is good if it exists.",
        ),
        Field("interval", kinds.DURATION, 10.0, '"10s"', "From the start of one to the next."),
        Field("timeout", kinds.DURATION, 5.0, '"5s"', "A probe that takes longer is a failure."),
        Field(
            "start-period",
            kinds.DURATION,
            0.0,
            '"0s"',
            "Failures in this time from the start do not count, until the first success.",
        ),
        Field("failures", kinds.integer(1, 1000), 3, "3", "So many failures in a row: unhealthy."),
        Field("successes", kinds.integer(1, 1000), 1, "1", "So many successes in a row: healthy."),
    ),
    live=True,
    make=_make,
    optional=True,
    rules=_rules,
)
