"""/openapi.json, out of the table of routes."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from runtime import VERSION
from supervisor.control.request import Access
from supervisor.control.routes import ROUTES
from supervisor.control.table import Route

_ERROR = {
    "type": "object",
    "properties": {"error": {"type": "string", "description": "What is wrong, in words."}},
    "required": ["error"],
}
_NEEDS = {
    Access.PAGE: "On every socket, and on loopback TCP where that is switched on.",
    Access.READ: "On the admin and the read-only socket.",
    Access.ADMIN: "On the admin socket alone. An event `control` tells who asked.",
}


def document() -> dict[str, Any]:
    """An OpenAPI 3.1 document. Times in it are seconds, sizes bytes."""
    paths: dict[str, dict[str, Any]] = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "creched",
            "version": VERSION,
            "description": "The control sockets of creched: HTTP/1.1 on Unix sockets. HEAD is "
            "answered wherever GET is. "
            "Who may connect is decided by the modes of the sockets.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "http://creched", "description": "over a Unix socket"}],
        "paths": paths,
        "components": {"schemas": {"Error": _ERROR}},
    }


def _operation(route: Route) -> dict[str, Any]:
    success = "202" if route.schema.get("required") == ["accepted"] else "200"
    content: dict[str, Any] = {"schema": route.schema} if route.type == "application/json" else {}
    operation: dict[str, Any] = {
        "operationId": route.operation,
        "summary": route.meaning,
        "description": _NEEDS[route.needs],
        "responses": {
            success: {"description": "As asked.", "content": {route.type: content}},
            **{str(status): _error(status) for status in sorted({400, 403, *route.errors})},
        },
    }
    if route.parameters:
        operation["parameters"] = [
            {
                "name": parameter.name,
                "in": parameter.where,
                "required": parameter.required,
                "description": parameter.meaning,
                "schema": parameter.schema,
            }
            for parameter in route.parameters
        ]
    return operation


def _error(status: int) -> dict[str, Any]:
    return {
        "description": HTTPStatus(status).phrase,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
    }
