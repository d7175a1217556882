"""The fields that events carry: what they mean, and of those that not every event has, the type.

A type is that of JSON, or `strings` for an array of them. See supervisor/events.py.
"""

from __future__ import annotations

COMMON = {
    "version": "version of this interface, a number",
    "seq": "number of the event, without gaps, also from one run of creched to the next",
    "timestamp": "time of day, UTC, RFC 3339 with microseconds",
    "monotonic": "seconds since boot, suspended time included, to compare times across clock jumps",
    "boot": "the kernel's boot id: tells one boot from the next",
    "run": "a random id of this run of creched",
    "level": "`info`, `warning` or `error`",
    "event": "the name",
}

FIELDS: dict[str, tuple[str, str]] = {
    "workload": ("string", "name of the workload"),
    "container": ("string", "id of its container, as `creche --root ... state ID` takes it"),
    "old": ("string", "state before"),
    "new": ("string", "state after"),
    "status": ("string", "public status after"),
    "attempt": ("integer", "number of this start, from 1"),
    "pid": (
        "integer",
        "process id in the host's pid namespace: of the container's first process; of "
        "`supervisor-started`: of creched; of `control`: of who asked",
    ),
    "cause": ("string", "one word: why"),
    "reason": ("string", "the cause in words"),
    "code": ("integer", "exit status, if it exited"),
    "signal": ("string", "name of a signal: the one it died of, or the one it is sent"),
    "core": ("boolean", "whether the kernel says that a core was dumped"),
    "oom_kills": (
        "integer",
        "how often the kernel killed a process of it for lack of memory; null: unknown",
    ),
    "uptime": ("number", "seconds from its start to its end"),
    "output": ("strings", "the last lines its program wrote, oldest first"),
    "ready": ("boolean", "whether it can do its work"),
    "command": ("strings", "a program and its arguments"),
    "waiting_for": ("strings", "what has to be before it starts, as `NAME:TARGET`"),
    "restarts": ("integer", "how often the workload has been restarted by its policy"),
    "after": ("number", "seconds until the next start"),
    "at": (
        "number",
        "when that is, on the same clock as `monotonic`; later if the machine is suspended until "
        "then",
    ),
    "series": ("integer", "number of restarts since the last run that was ready for long enough"),
    "timeout": ("number", "seconds given"),
    "action": (
        "string",
        "what giving up, or a change of files, leads to; of `control`: what was asked for",
    ),
    "keys": ("strings", "the keys that have changed"),
    "kept": ("string", "where it can be looked at"),
    "generation": (
        "integer",
        "number of the version of its files that is in use; 0: it is not kept",
    ),
    "before": ("integer", "number of the version that was in use"),
    "rejected": ("integer", "number of the version that has failed"),
    "who": (
        "string",
        "who asked: the credentials that the kernel noted when the socket was connected",
    ),
    "uid": ("integer", "user id of who asked"),
    "gid": ("integer", "group id of who asked"),
    "result": (
        "string",
        "how it ended: "
        "`success`, `exit`, `signal`, `oom`, `unhealthy`, `watchdog`, `start-timeout`, `hook`, "
        "`setup`, `limit`, `fault`, `unknown`, `none`",
    ),
    "file": ("string", "file with the mistake"),
    "line": ("integer", "line in it, from 1; null if it cannot be told"),
    "key": ("string", "key in it"),
    "message": ("string", "text"),
    "stage": ("string", "kind of hook"),
    "error": ("string", "kind of an unexpected error"),
    "traceback": ("string", "where it came from"),
    "network": ("string", "name of a network: `[networks.NAME]`"),
    "addresses": ("strings", "IP addresses with the lengths of their prefixes"),
    "workloads": ("integer", "number of workloads"),
    "root": ("string", "directory that holds the state of the containers"),
    "directory": ("string", "the workload directory, or the directory of all of them"),
    "release": ("string", "version of creche"),
    "exit_status": ("integer", "status creched exits with"),
    "leftovers": ("string", "what could not be removed"),
    "count": ("integer", "how many"),
    "alert": ("string", "kind of news: a value of `alerts.on`"),
}
