"""Look at a container from inside: one start, many questions, and the answers by name."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.support.bundle import Bundle
from tests.support.mountinfo import cgroup_mounts, cgroup_of
from tests.support.runtimes import Result, Runtime

# Programs that stay. busybox' ash as process 1 gets no signal that it has no handler for.
IDLE = "trap 'exit 0' TERM; while :; do sleep 1000 & wait; done"
DEAF = "trap '' TERM; while :; do sleep 1000 & wait; done"

_MARK = "==#== "


def questions(commands: Mapping[str, str]) -> str:
    """A shell script that runs each command and marks where its output begins."""
    lines = []
    for name, command in commands.items():
        lines += [f"echo '{_MARK}{name}'", f"{{ {command}\n}} 2>&1"]
    return "\n".join([*lines, "exit 0"])


def answers(text: str) -> dict[str, str]:
    """What each command of ``questions`` printed, without the newline at its end."""
    found = {}
    for part in text.split(_MARK)[1:]:
        name, _, answer = part.partition("\n")
        found[name] = answer.removesuffix("\n")
    return found


def ask(runtime: Runtime, bundle: Bundle, container: str, **commands: str) -> dict[str, str]:
    """Run the commands in one container of this bundle, in the foreground."""
    bundle.config["process"]["args"] = ["/bin/sh", "-c", questions(commands)]
    bundle.write()
    return answers(runtime.run(["run", "-b", bundle, container]).ok().stdout)


def ask_running(runtime: Runtime, container: str, **commands: str) -> dict[str, str]:
    """Run the commands in one `exec`."""
    words = ["exec", container, "/bin/sh", "-c", questions(commands)]
    return answers(runtime.run(words).ok().stdout)


def launched(runtime: Runtime, container: str, bundle: Bundle, *options: str) -> int:
    """Run detached; the pid of init."""
    runtime.run(["run", "-d", *options, "-b", bundle, container]).ok()
    return runtime.pid(container)


def message(result: Result) -> str:
    """The text of the error line, as a log reader would decode it."""
    found = re.findall(r'level=error msg=("(?:[^"\\]|\\.)*"|\S+)', result.stderr)
    assert found, result.describe()
    text = found[-1]
    return str(json.loads(text)) if text.startswith('"') else str(text)


def statuses(pid: int | str = "self") -> dict[str, str]:
    """/proc/PID/status as name -> value."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return parse_status("\n".join(lines))


def parse_status(text: str) -> dict[str, str]:
    """Lines of the form ``Name:<tab>value``."""
    pairs = (line.partition(":") for line in text.splitlines() if ":" in line)
    return {name: value.strip() for name, _, value in pairs}


def cgroups_named(name: str) -> list[str]:
    """Control groups of this name below our own, in any hierarchy."""
    own = cgroup_of()
    return [
        path
        for hierarchy, top in cgroup_mounts().items()
        if hierarchy in own
        for path, _, _ in os.walk(top / own[hierarchy].lstrip("/"))
        if os.path.basename(path) == name
    ]


def namespaces(pid: int | str = "self") -> dict[str, str]:
    """Kind -> identity of each namespace of a process."""
    directory = f"/proc/{pid}/ns"
    return {
        name: os.readlink(f"{directory}/{name}")
        for name in os.listdir(directory)
        if not name.endswith("_for_children")
    }


def namespace(kind: str, path: str | None = None) -> dict[str, Any]:
    """An entry of linux.namespaces."""
    return {"type": kind} if path is None else {"type": kind, "path": path}
