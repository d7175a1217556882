"""Forwarding between the host's links: switched on where networks need it, and left on."""

from __future__ import annotations

import glob
from collections.abc import Iterable

from supervisor.network.errors import NetworkError
from supervisor.network.naming import VETH

SWITCHES = {4: "net/ipv4/ip_forward", 6: "net/ipv6/conf/all/forwarding"}
"""By family. Per link it would not do: it is where a packet comes in that counts, and that can be
any link."""


def switch_on(families: Iterable[int]) -> list[str]:
    """Sysctls that were set, in words. Raises NetworkError."""
    told = []
    for family in sorted(families):
        switch = f"/proc/sys/{SWITCHES[family]}"
        try:
            if _read(switch) != "0":
                continue
            if family == 6:
                told += _keep_routes()
            _write(switch, "1")
        except OSError as error:
            raise NetworkError(f"switch forwarding on: {switch}: {error.strerror}") from None
        told.append(f"{SWITCHES[family].replace('/', '.')} = 1")
    return told


def _keep_routes() -> list[str]:
    """A host that forwards does not listen to router advertisements unless told so: its own default
    route would be lost after a while (accept_ra in ip-sysctl.rst)."""
    told = []
    for path in sorted(glob.glob("/proc/sys/net/ipv6/conf/*/accept_ra")):
        link = path.split("/")[-2]
        own = link in ("all", "default", "lo") or link.startswith(VETH)
        if not own and _read(path) == "1":
            _write(path, "2")
            told.append(f"net.ipv6.conf.{link}.accept_ra = 2")
    return told


def _read(path: str) -> str:
    with open(path, encoding="ascii") as file:
        return file.read().strip()


def _write(path: str, value: str) -> None:
    with open(path, "w", encoding="ascii") as file:
        file.write(value)
