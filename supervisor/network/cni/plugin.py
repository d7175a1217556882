"""One call of a CNI plugin: found in CNI_PATH, run with a deadline, told by CNI_* (SPEC.md, 2)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from hooks.concurrent import run_hook
from hooks.errors import HookError
from hooks.result import HookResult
from supervisor.network.cni.result import read_error
from supervisor.network.errors import NetworkError

TIMEOUT = 60.0
"""Seconds; plugins that ask a DHCP server, or wait for duplicate addresses, take some."""
_ENVIRONMENT = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""For the programs that plugins run, such as iptables."""


@dataclass(frozen=True, slots=True)
class Place:
    """What an attachment is about: container and interface are its identity (SPEC.md, 2)."""

    container: str
    netns: str
    interface: str


async def call(
    command: str, kind: str, place: Place, request: bytes, path: Sequence[str]
) -> HookResult:
    """Run plugin `kind`. Raises NetworkError with what it says is wrong."""
    program = find(kind, path)
    try:
        return await run_hook(
            "cni",
            0,
            {
                "path": program,
                "env": [
                    _ENVIRONMENT,
                    f"CNI_COMMAND={command}",
                    f"CNI_CONTAINERID={place.container}",
                    f"CNI_NETNS={place.netns}",
                    f"CNI_IFNAME={place.interface}",
                    f"CNI_PATH={':'.join(path)}",
                ],
            },
            request,
            cwd="/",
            default_timeout=TIMEOUT,
        )
    except HookError as error:
        raise NetworkError(f"{command}: {read_error(error.result, error.reason)}") from None


def find(kind: str, path: Sequence[str]) -> str:
    """The program of a plugin. Raises NetworkError."""
    for directory in path:
        program = f"{directory}/{kind}"
        if os.path.isfile(program) and os.access(program, os.X_OK):
            return program
    raise NetworkError(
        f"there is no such plugin in {', '.join(path)} (creched.toml, supervisor.cni-path)"
    )
