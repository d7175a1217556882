"""[hooks] and [[hooks.STAGE]]: programs that run at points of a container's life."""

from __future__ import annotations

from dataclasses import dataclass

from supervisor.workload import kinds
from supervisor.workload.schema import REQUIRED, Field, Section, Values, into

STAGES = (
    "prestart",
    "createRuntime",
    "createContainer",
    "startContainer",
    "poststart",
    "poststop",
)


@dataclass(frozen=True, slots=True)
class Hook:
    """One hook of a [container] workload; `timeout` in seconds, None for the default one."""

    path: str
    args: tuple[str, ...] | None
    env: tuple[tuple[str, str], ...]
    timeout: float | None


@dataclass(frozen=True, slots=True)
class Hooks:
    """`timeout` of those that have none of their own; the hooks by stage, where there are any."""

    timeout: float = 30.0
    stages: tuple[tuple[str, tuple[Hook, ...]], ...] = ()


def _make(values: Values) -> Hooks:
    return Hooks(
        values["timeout"], tuple((stage, values[stage]) for stage in STAGES if values[stage])
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
    make=into(Hook),
    keys=STAGES,
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
    make=_make,
    parts=(HOOK,),
)
