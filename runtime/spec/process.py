"""Rules for `process` that take more than one value."""

from __future__ import annotations

from runtime.errors import ConfigError
from runtime.jsonio import quote
from runtime.spec.names import CAPABILITIES, CAPABILITY_SETS
from runtime.spec.ranges import parse_ranges

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.spec.types import Capabilities, Process, Rlimit, Scheduler

MAX_CPUS = 8192  # CONFIG_NR_CPUS at its largest, arch/x86/Kconfig
_MAX_GROUPS = 65536  # NGROUPS_MAX, linux/limits.h


def check_process(process: Process, path: str, warn: Callable[[str], None]) -> None:
    """Raise ConfigError, or settle the details in place. path: the process's own, "process"."""
    if process["args"][0] == "":
        raise ConfigError(f"{path}.args[0]", 'expected a program, found ""')
    check_env(process.get("env", []), f"{path}.env")
    groups = process.get("user", {}).get("additionalGids", [])
    if len(groups) > _MAX_GROUPS:
        raise ConfigError(
            f"{path}.user.additionalGids",
            f"expected at most {_MAX_GROUPS} groups, found {len(groups)}",
        )
    if "capabilities" in process:
        _settle_capabilities(process["capabilities"], f"{path}.capabilities", warn)
    _check_rlimits(process.get("rlimits", []), f"{path}.rlimits")
    if "scheduler" in process:
        _check_scheduler(process["scheduler"], f"{path}.scheduler")
    affinity = process.get("execCPUAffinity", {})
    for key, cpus in (("initial", affinity.get("initial")), ("final", affinity.get("final"))):
        if cpus is not None:
            _check_cpus(cpus, f"{path}.execCPUAffinity.{key}")
    if process.get("terminal") and "consoleSize" in process:
        size = process["consoleSize"]
        for key, number in (("height", size["height"]), ("width", size["width"])):
            if number > 65535:  # struct winsize holds unsigned shorts, ioctl_tty(2)
                raise ConfigError(
                    f"{path}.consoleSize.{key}", f"expected at most 65535, found {number}"
                )


def check_env(env: list[str], path: str) -> None:
    """Each entry is NAME=VALUE with a name: anything else is lost or misread by programs."""
    for index, entry in enumerate(env):
        if entry.find("=") < 1:
            raise ConfigError(f"{path}[{index}]", f"expected NAME=VALUE, found {quote(entry)}")


def _settle_capabilities(
    capabilities: Capabilities, path: str, warn: Callable[[str], None]
) -> None:
    # "MUST be logged as a warning", and no error: config.md, Linux Process.
    known = frozenset(CAPABILITIES)
    unknown: dict[str, None] = {}
    for kind in CAPABILITY_SETS:
        listed: list[str] | None = capabilities.get(kind)  # type: ignore[assignment]
        if listed is None:
            continue
        unknown.update(dict.fromkeys(name for name in listed if name not in known))
        capabilities[kind] = [  # type: ignore[literal-required]
            name for name in dict.fromkeys(listed) if name in known
        ]
    if unknown:
        names = ", ".join(quote(name, 32)[1:-1] for name in unknown)
        warn(f"{path}: unknown capabilities ignored: {names[:400]}")


def _check_rlimits(rlimits: list[Rlimit], path: str) -> None:
    seen: dict[str, int] = {}
    for index, limit in enumerate(rlimits):
        kind = limit["type"]
        if kind in seen:
            raise ConfigError(
                f"{path}[{index}].type", f"{kind} is already given by {path}[{seen[kind]}]"
            )
        seen[kind] = index
        if limit["soft"] > limit["hard"]:  # setrlimit(2) says EINVAL
            raise ConfigError(
                f"{path}[{index}].soft",
                f"expected at most the hard limit {limit['hard']}, found {limit['soft']}",
            )


def _check_scheduler(scheduler: Scheduler, path: str) -> None:
    """sched_setattr(2); what the kernel decides about a deadline's numbers is left to it."""
    policy = scheduler["policy"]
    nice = scheduler.get("nice", 0)
    if policy in ("SCHED_OTHER", "SCHED_BATCH") and not -20 <= nice <= 19:
        raise ConfigError(f"{path}.nice", f"expected an integer from -20 to 19, found {nice}")
    priority = scheduler.get("priority", 0)
    if policy in ("SCHED_FIFO", "SCHED_RR"):
        if not 1 <= priority <= 99:
            raise ConfigError(
                f"{path}.priority",
                f"expected an integer from 1 to 99 for {policy}, found {priority}",
            )
    elif priority:
        raise ConfigError(
            f"{path}.priority", f"expected none but for SCHED_FIFO and SCHED_RR, found {priority}"
        )
    if policy != "SCHED_DEADLINE":
        for key, value in (
            ("runtime", scheduler.get("runtime")),
            ("deadline", scheduler.get("deadline")),
            ("period", scheduler.get("period")),
        ):
            if value:
                raise ConfigError(
                    f"{path}.{key}", f"expected none but for SCHED_DEADLINE, found {value}"
                )


def _check_cpus(text: str, path: str) -> None:
    try:
        cpus = parse_ranges(text, MAX_CPUS)
    except ValueError as error:
        raise ConfigError(path, str(error)) from None
    if not cpus:
        raise ConfigError(path, f"expected CPU numbers, found {quote(text)}")
