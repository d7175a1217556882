"""Commands that are run when restarts have not helped: bounded, like hooks."""

from __future__ import annotations

from collections.abc import Sequence

from hooks.concurrent import run_hook
from hooks.errors import HookError
from runtime.jsonio import dumps
from supervisor.events import EventLog

TIMEOUT = 30
"""Seconds; then the command and all it has started is killed."""
PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


async def run(
    command: Sequence[str], workload: str, event: dict[str, object], log: EventLog
) -> None:
    """Run it with the event as JSON on its standard input, and report how that went."""
    log.emit("command-started", workload=workload, command=list(command))
    hook = {"path": command[0], "args": list(command), "env": [PATH], "timeout": TIMEOUT}
    message = None
    try:
        await run_hook("on-limit", 0, hook, (dumps(event) + "\n").encode())  # type: ignore[arg-type]
    except HookError as error:
        message = str(error)
    name = "command-ended" if message is None else "command-failed"
    fields = {} if message is None else {"message": message}
    log.emit(name, workload=workload, command=list(command), **fields)
