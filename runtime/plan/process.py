"""config.json's `process` as a plan: numbers, masks and exact lists.

Used for a container's init and for `exec`. Source: config.md#process and config.md#linux-process.
"""

from __future__ import annotations

from runtime.errors import ConfigError
from runtime.plan.capabilities import mask
from runtime.spec.ranges import parse_ranges

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.plan.types import Capabilities, ProcessPlan
    from runtime.spec.types import Process

RLIMITS = {
    "RLIMIT_CPU": 0,
    "RLIMIT_FSIZE": 1,
    "RLIMIT_DATA": 2,
    "RLIMIT_STACK": 3,
    "RLIMIT_CORE": 4,
    "RLIMIT_RSS": 5,
    "RLIMIT_NPROC": 6,
    "RLIMIT_NOFILE": 7,
    "RLIMIT_MEMLOCK": 8,
    "RLIMIT_AS": 9,
    "RLIMIT_LOCKS": 10,
    "RLIMIT_SIGPENDING": 11,
    "RLIMIT_MSGQUEUE": 12,
    "RLIMIT_NICE": 13,
    "RLIMIT_RTPRIO": 14,
    "RLIMIT_RTTIME": 15,
}
RLIMIT_NOFILE = RLIMITS["RLIMIT_NOFILE"]

SCHEDULERS = {
    "SCHED_OTHER": 0,
    "SCHED_FIFO": 1,
    "SCHED_RR": 2,
    "SCHED_BATCH": 3,
    "SCHED_ISO": 4,
    "SCHED_IDLE": 5,
    "SCHED_DEADLINE": 6,
}
SCHED_FLAGS = {
    "SCHED_FLAG_RESET_ON_FORK": 0x01,
    "SCHED_FLAG_RECLAIM": 0x02,
    "SCHED_FLAG_DL_OVERRUN": 0x04,
    "SCHED_FLAG_KEEP_POLICY": 0x08,
    "SCHED_FLAG_KEEP_PARAMS": 0x10,
    "SCHED_FLAG_UTIL_CLAMP_MIN": 0x20,
    "SCHED_FLAG_UTIL_CLAMP_MAX": 0x40,
}
IOPRIO_CLASSES = {"IOPRIO_CLASS_RT": 1, "IOPRIO_CLASS_BE": 2, "IOPRIO_CLASS_IDLE": 3}
IOPRIO_CLASS_SHIFT = 13

MAX_CPUS = 8192  # CONFIG_NR_CPUS of the largest kernels

# runc's default; the specification leaves it to the caller, whose umask must not leak in.
DEFAULT_UMASK = 0o022


def unique_env(env: list[str]) -> list[str]:
    """Each variable once: the later value, at the place of its first appearance."""
    merged: dict[str, str] = {}
    for entry in env:
        name, _, value = entry.partition("=")
        merged[name] = value
    return [f"{name}={value}" for name, value in merged.items()]


def compile_process(process: Process, key: str = "process") -> ProcessPlan:
    """The plan of one process; raises ConfigError naming the key."""
    args = process.get("args", [])
    if not args:
        raise ConfigError(f"{key}.args", "expected at least one argument, found none")
    # Go's zero value, which engines rely on: without a user it is root.
    user = process.get("user", {})
    rlimits = [
        (RLIMITS[limit["type"]], limit["soft"], limit["hard"])
        for limit in process.get("rlimits", [])
    ]
    size = process.get("consoleSize")
    return {
        "args": list(args),
        "env": unique_env(process.get("env", [])),
        "cwd": process["cwd"],
        "uid": user.get("uid", 0),
        "gid": user.get("gid", 0),
        "groups": list(user.get("additionalGids", [])),
        "umask": user.get("umask", DEFAULT_UMASK),
        "terminal": process.get("terminal", False),
        "console_size": (size["height"], size["width"]) if size else None,
        "capabilities": _capabilities(process),
        "rlimits": rlimits,
        "no_new_privileges": process.get("noNewPrivileges", False),
        "oom_score_adj": process.get("oomScoreAdj"),
        "scheduler": _scheduler(process),
        "io_priority": _io_priority(process),
        "affinity": _affinity(process),
        "apparmor": process.get("apparmorProfile", ""),
        "selinux": process.get("selinuxLabel", ""),
    }


def _capabilities(process: Process) -> Capabilities:
    """The five masks; without `capabilities` every set is empty, as in runc.

    A capability that is not in bounding can't be had by execve(2), so permitted and effective are
    cut to it; ambient needs inheritable (CVE-2022-29162: nothing is inheritable by default).
    """
    sets = process.get("capabilities") or {}
    bounding = mask(sets.get("bounding", []))
    permitted = mask(sets.get("permitted", [])) & bounding
    inheritable = mask(sets.get("inheritable", []))
    return {
        "bounding": bounding,
        "permitted": permitted,
        "effective": mask(sets.get("effective", [])) & permitted,
        "inheritable": inheritable,
        "ambient": mask(sets.get("ambient", [])) & inheritable & permitted,
    }


def _scheduler(process: Process) -> dict[str, int] | None:
    scheduler = process.get("scheduler")
    if not scheduler:
        return None
    flags = 0
    for name in scheduler.get("flags", []):
        flags |= SCHED_FLAGS[name]
    return {
        "policy": SCHEDULERS[scheduler["policy"]],
        "flags": flags,
        "nice": scheduler.get("nice", 0),
        "priority": scheduler.get("priority", 0),
        "runtime": scheduler.get("runtime", 0),
        "deadline": scheduler.get("deadline", 0),
        "period": scheduler.get("period", 0),
    }


def _affinity(process: Process) -> tuple[list[int], list[int]]:
    affinity = process.get("execCPUAffinity", {})
    return (
        parse_ranges(affinity.get("initial", ""), MAX_CPUS),
        parse_ranges(affinity.get("final", ""), MAX_CPUS),
    )


def _io_priority(process: Process) -> int | None:
    priority = process.get("ioPriority")
    if not priority:
        return None
    return IOPRIO_CLASSES[priority["class"]] << IOPRIO_CLASS_SHIFT | priority.get("priority", 0)
