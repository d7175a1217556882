"""What may stand in a workload.toml: the table that parsing and docs/workload.md come from."""

from __future__ import annotations

from dataclasses import dataclass

from supervisor.workload import kinds
from supervisor.workload.kinds import Kind

REQUIRED = object()
"""Default of a key that has to be given."""

STAGES = (
    "prestart",
    "createRuntime",
    "createContainer",
    "startContainer",
    "poststart",
    "poststop",
)


@dataclass(frozen=True, slots=True)
class Field:
    """One key: its kind, its default as parsed, how the default is written, what it means."""

    key: str
    kind: Kind
    default: object
    written: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Section:
    """One table, or (`repeated`) one array of tables; `name` is its dotted TOML name."""

    name: str
    meaning: str
    fields: tuple[Field, ...]
    repeated: bool = False


RESTART = Section(
    "restart",
    "When the container is started again after it has ended.",
    (
        Field(
            "policy",
            kinds.one_of("never", "on-failure", "on-abnormal", "always"),
            "on-failure",
            '"on-failure"',
            "`never`; `on-failure`: after any ending that is no success; `on-abnormal`: after a "
            "signal, an out-of-memory kill, or a container that could not be set up, but not "
            "after an exit status; `always`.",
        ),
        Field("delay", kinds.DURATION, 1.0, '"1s"', "Delay before the first restart of a series."),
        Field(
            "factor",
            kinds.number(1, 100),
            2.0,
            "2",
            "Each further delay is the one before times this; 1 keeps the delay fixed.",
        ),
        Field("max", kinds.DURATION, 60.0, '"1m"', "No delay is longer than this."),
        Field(
            "jitter",
            kinds.number(0, 1),
            0.1,
            "0.1",
            "Part of each delay that is random, so that many workloads do not come back at once: "
            "0 none, 1 anything from nothing to the whole delay.",
        ),
        Field(
            "reset-after",
            kinds.DURATION,
            60.0,
            '"1m"',
            "After a run of at least this length the delays begin anew.",
        ),
        Field(
            "limit",
            kinds.integer(0, 1_000_000),
            0,
            "0",
            "At most so many restarts within `window`; 0 sets no limit.",
        ),
        Field(
            "window",
            kinds.DURATION,
            600.0,
            '"10m"',
            "The length of time over which `limit` counts.",
        ),
        Field(
            "on-limit",
            kinds.one_of("fail", "stop-supervisor"),
            "fail",
            '"fail"',
            "What happens at the limit: the workload has failed and stays so, or creched stops "
            "every workload and exits with status 1.",
        ),
        Field(
            "success",
            kinds.list_of(kinds.STATUS),
            (),
            "[]",
            "Exit statuses (0 to 255) and signals that count as success, besides exit status 0.",
        ),
    ),
)

STOP = Section(
    "stop",
    "How the container is asked to end.",
    (
        Field("signal", kinds.SIGNAL, 15, '"SIGTERM"', "The signal its first process is sent."),
        Field(
            "timeout",
            kinds.DURATION,
            10.0,
            '"10s"',
            "How long it has before everything in it is killed.",
        ),
    ),
)

HOOK = Section(
    "hooks.STAGE",
    "One hook; STAGE is one of " + ", ".join(f"`{stage}`" for stage in STAGES) + ". Only "
    "together with `[container]`: a config.json holds its own hooks.",
    (
        Field(
            "path",
            kinds.NONEMPTY,
            REQUIRED,
            "",
            "The program; a relative path begins at the workload directory.",
        ),
        Field(
            "args",
            kinds.list_of(kinds.TEXT, 1),
            None,
            "[path]",
            "The argument vector, the program's name first.",
        ),
        Field("env", kinds.ENVIRONMENT, (), "{}", "Its whole environment."),
        Field("timeout", kinds.DURATION, None, "`hooks.timeout`", "Its own deadline."),
    ),
    repeated=True,
)

HOOKS = Section(
    "hooks",
    "Hooks of the container.",
    (
        Field(
            "timeout",
            kinds.DURATION,
            30.0,
            '"30s"',
            "Deadline of each hook that has none of its own; then its whole process tree is "
            "killed.",
        ),
    ),
)

MOUNT = Section(
    "container.mounts",
    "One more mount.",
    (
        Field("destination", kinds.ABSOLUTE, REQUIRED, "", "Where, inside the container."),
        Field("source", kinds.NONEMPTY, "none", '"none"', "What: for a bind mount a host path."),
        Field("type", kinds.NONEMPTY, "bind", '"bind"', "The file system type, or `bind`."),
        Field(
            "options",
            kinds.list_of(kinds.NONEMPTY),
            ("rbind", "ro", "nosuid", "nodev"),
            '["rbind", "ro", "nosuid", "nodev"]',
            "Mount options, as in config.json.",
        ),
    ),
    repeated=True,
)

CONTAINER = Section(
    "container",
    "The container itself, in place of a config.json.",
    (
        Field(
            "rootfs",
            kinds.NONEMPTY,
            "host-usr",
            '"host-usr"',
            "A directory (relative to the workload directory), or `host-usr`: a private root with "
            "the host's /usr mounted read-only, which needs no image.",
        ),
        Field("args", kinds.list_of(kinds.TEXT, 1), REQUIRED, "", "The program and its arguments."),
        Field(
            "env",
            kinds.ENVIRONMENT,
            (),
            "{}",
            "Environment, besides a PATH of the usual directories.",
        ),
        Field("user", kinds.USER, (0, 0), '"0:0"', "Numeric user and group inside."),
        Field("cwd", kinds.ABSOLUTE, "/", '"/"', "Working directory."),
        Field("hostname", kinds.HOSTNAME, None, "the workload's name", "Host name inside."),
        Field(
            "network",
            kinds.one_of("none", "host"),
            "none",
            '"none"',
            "`none`: a network namespace of its own with nothing but loopback; `host`: the "
            "host's network.",
        ),
        Field("read-only", kinds.BOOLEAN, True, "true", "Whether its root is read-only."),
        Field(
            "capabilities",
            kinds.list_of(kinds.CAPABILITY),
            None,
            "a small set",
            "Its capabilities, in place of the default: CHOWN, DAC_OVERRIDE, FOWNER, FSETID, "
            "KILL, NET_BIND_SERVICE, SETGID, SETPCAP, SETUID.",
        ),
        Field("memory", kinds.SIZE, None, "no limit", "Memory limit."),
        Field("cpus", kinds.number(0.01, 4096), None, "no limit", "How many CPUs' worth of time."),
        Field("pids", kinds.integer(1, 4194304), 1024, "1024", "How many processes and threads."),
    ),
)

SECTIONS = (RESTART, STOP, HOOKS, HOOK, CONTAINER, MOUNT)
