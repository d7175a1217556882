"""What CNI plugins print: a result or an error (SPEC.md, section 5). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Interface, IPv6Interface, ip_interface
from typing import Any

from hooks.result import HookResult
from hooks.tail import printable, show
from runtime.errors import CrecheError
from runtime.jsonio import loads
from supervisor.network.errors import NetworkError

LONGEST = 4096
"""Characters of an error that are told."""


def read_result(printed: HookResult) -> dict[str, Any]:
    """That of an ADD. Raises NetworkError."""
    if printed.stdout_total > len(printed.stdout):
        raise NetworkError(f"it printed {printed.stdout_total} bytes, which are too many")
    try:
        found = loads(printed.stdout)
    except CrecheError as error:
        raise NetworkError(f"what it printed is no result: {error}") from None
    if not isinstance(found, dict):
        raise NetworkError("what it printed is no result: expected an object")
    addresses(found, "")  # or it would be noticed when nobody can be told any more
    return found


def read_error(printed: HookResult | None, otherwise: str) -> str:
    """What went wrong, in one line: as the plugin says it, or as its end does."""
    if printed is None:
        return otherwise
    try:
        found = loads(printed.stdout)
    except CrecheError:
        found = None
    if isinstance(found, dict) and found.get("msg"):
        words = [str(found[key]) for key in ("msg", "details") if found.get(key)]
        text = "; ".join(words) + f" (code {found.get('code', 'unknown')})"
        return printable(text.encode("utf-8", "surrogatepass"))[:LONGEST]
    said = show(printed.stderr, printed.stderr_total) or show(printed.stdout, printed.stdout_total)
    return f"{otherwise}: {said}" if said else otherwise


def addresses(
    found: Mapping[str, Any], interface: str
) -> tuple[IPv4Interface | None, IPv6Interface | None, str | None]:
    """The first of each family, and the hardware address, of an interface in the container.

    Raises NetworkError if the result is none.
    """
    v4: IPv4Interface | None = None
    v6: IPv6Interface | None = None
    mac: str | None = None
    try:
        links = [dict(link) for link in found.get("interfaces") or []]
        for link in links:
            if link.get("sandbox") and link.get("name") == interface:
                mac = str(link["mac"]) if link.get("mac") else None
        for each in found.get("ips") or []:
            address = ip_interface(str(each["address"]))
            index = each.get("interface")
            if index is not None and links:
                link = links[int(index)]
                if not link.get("sandbox") or link.get("name") != interface:
                    continue
            if isinstance(address, IPv4Interface):
                v4 = v4 or address
            else:
                v6 = v6 or address
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise NetworkError(f"what it printed is no result: {error!r}") from None
    return v4, v6, mac
