"""The status page: three files, and what guards them where browsers are.

Anything on the machine can reach a loopback port, and any web site that its users visit can make
their browsers send requests to it. Nothing can be changed there (GET only), and the Host header is
checked, or a site whose name is pointed at 127.0.0.1 could read what is there (DNS rebinding).
"""

from __future__ import annotations

import functools
import ipaddress
from pathlib import Path

from supervisor.control.request import Refused, Request, Response

_FILES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
}
_HEADERS = (
    (
        "Content-Security-Policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    ("Referrer-Policy", "no-referrer"),
    ("X-Frame-Options", "DENY"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
)


def file(path: str) -> Response:
    """The file behind a path of the table."""
    name, kind = _FILES[path]
    return Response(200, _content(name), kind, _HEADERS)


def drawing(text: str) -> Response:
    """An image, with the same guards: a browser may be led to it as to a page."""
    return Response(200, text.encode(), "image/svg+xml", _HEADERS)


@functools.cache
def _content(name: str) -> bytes:
    return (Path(__file__).parent / "files" / name).read_bytes()


def check_host(request: Request) -> None:
    """Raises Refused (421) unless the browser thinks it talks to this machine's loopback."""
    host = request.headers.get("host", "")
    name = host.rpartition(":")[0] if host[-1:] != "]" and ":" in host else host
    if name.lower() == "localhost":
        return
    try:
        if ipaddress.ip_address(name.removeprefix("[").removesuffix("]")).is_loopback:
            return
    except ValueError:
        pass
    raise Refused(421, "expected localhost or a loopback address in the header Host")
