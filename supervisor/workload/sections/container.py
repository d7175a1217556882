"""[container] and [[container.mounts]]: the container itself, in place of a config.json."""

from __future__ import annotations

from dataclasses import dataclass

from supervisor.workload import kinds
from supervisor.workload.schema import REQUIRED, Field, Section, into


@dataclass(frozen=True, slots=True)
class Mount:
    """One mount besides the default ones, in config.json's terms."""

    destination: str
    source: str
    type: str
    options: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Container:
    """The [container] table. Sizes in bytes, `cpus` in CPUs, None for no limit."""

    args: tuple[str, ...]
    rootfs: str = "host-usr"
    env: tuple[tuple[str, str], ...] = ()
    user: tuple[int, int] = (0, 0)
    cwd: str = "/"
    hostname: str | None = None
    network: str | None = None
    read_only: bool = True
    capabilities: tuple[str, ...] | None = None
    memory: int | None = None
    oom_group: bool = False
    cpus: float | None = None
    pids: int = 1024
    mounts: tuple[Mount, ...] = ()


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
    make=into(Mount),
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
            None,
            '"none"',
            "`none`: a network namespace of its own with nothing but loopback; `host`: the "
            "host's network. For more there is `[network]`.",
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
        Field(
            "memory",
            kinds.SIZE,
            None,
            "no limit",
            "Memory limit. While it runs version 1 of control groups takes none below what is in "
            "use (a warning; it holds from the next start on), and with version 2 the kernel then "
            "ends processes.",
            live=True,
        ),
        Field(
            "oom-group",
            kinds.BOOLEAN,
            False,
            "false",
            "Whether running out of memory ends the whole container, not one process of it "
            "(`memory.oom.group` of cgroup version 2; elsewhere there is a warning).",
        ),
        Field(
            "cpus",
            kinds.number(0.01, 4096),
            None,
            "no limit",
            "How many CPUs' worth of time.",
            live=True,
        ),
        Field(
            "pids",
            kinds.integer(1, 4194304),
            1024,
            "1024",
            "How many processes and threads.",
            live=True,
        ),
    ),
    make=into(Container),
    optional=True,
    parts=(MOUNT,),
)
