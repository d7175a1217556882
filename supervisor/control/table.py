"""What a route is, and how a request finds its own. The routes themselves: routes.py."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from supervisor.control.request import Access, Later, Refused, Request, Response, Stream
from supervisor.control.schema import Schema, read
from supervisor.control.types import Supervised

NAME: Schema = {
    "type": "string",
    "pattern": "^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$",
}


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of the path or the query. One with neither default nor `required` is left
    out of what the handler gets."""

    name: str
    schema: Schema
    meaning: str
    where: str = "query"
    required: bool = False


@dataclass(frozen=True, slots=True)
class Call:
    """A request that was understood: its route, and the parameters by name."""

    request: Request
    route: Route
    parameters: dict[str, Any]


Handler = Callable[[Supervised, Call], Awaitable[Response | Later | Stream]]


@dataclass(frozen=True, slots=True)
class Route:
    """One operation. `needs`: the least a listener must be for. `answers`: media type of the
    answer, and its schema if that is JSON."""

    method: str
    path: str
    operation: str
    meaning: str
    handler: Handler
    needs: Access = Access.READ
    parameters: tuple[Parameter, ...] = ()
    type: str = "application/json"
    schema: Schema = field(default_factory=dict)
    errors: tuple[int, ...] = ()

    def match(self, path: str) -> dict[str, str] | None:
        """The parameters of the path, if it is this route's."""
        wanted, given = self.path.split("/"), path.split("/")
        if len(wanted) != len(given):
            return None
        found = {}
        for part, text in zip(wanted, given, strict=True):
            if part.startswith("{"):
                found[part[1:-1]] = text
            elif part != text:
                return None
        return found


def find(routes: Sequence[Route], request: Request) -> Call:
    """The route of a request, its parameters checked. HEAD is GET whose answer has no body.

    Raises Refused: 404, 405, 403 for what this listener is not for, 400 for bad parameters.
    """
    candidates = [
        (route, path) for route in routes if (path := route.match(request.path)) is not None
    ]
    if not candidates:
        raise Refused(404, f"there is nothing at {request.path[:200]}")
    method = "GET" if request.method == "HEAD" else request.method
    for route, path in candidates:
        if route.method == method:
            if route.needs > request.access:
                raise _not_here(route, request)
            return Call(request, route, _parameters(route, path, request))
    methods = {route.method for route, _path in candidates}
    allowed = ", ".join(sorted(methods | {"HEAD"} if "GET" in methods else methods))
    raise Refused(405, f"expected {allowed}, found {request.method}", (("Allow", allowed),))


def _not_here(route: Route, request: Request) -> Refused:
    if request.access is Access.PAGE:
        return Refused(403, "this address shows the status page only; ask on a control socket")
    return Refused(
        403, f"{route.method} {route.path} needs the admin socket; this one is read-only"
    )


def _parameters(route: Route, path: dict[str, str], request: Request) -> dict[str, Any]:
    given = dict(path)
    for name, text in parse_qsl(request.query, keep_blank_values=True):
        if name in given:
            raise Refused(400, f"{name[:80]}: given twice")
        given[name] = text
    values = {}
    for parameter in route.parameters:
        if parameter.name in given:
            text = given.pop(parameter.name)
            values[parameter.name] = read(parameter.name, text, parameter.schema)
        elif parameter.required:
            raise Refused(400, f"{parameter.name}: has to be given")
        elif "default" in parameter.schema:
            values[parameter.name] = parameter.schema["default"]
    if given:
        known = ", ".join(parameter.name for parameter in route.parameters) or "none"
        raise Refused(400, f"unknown parameter {next(iter(given))[:80]} (known: {known})")
    return values
