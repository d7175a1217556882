"""Which hooks apply to a container, and in which order."""

from __future__ import annotations

from hooks.stages import BY_NAME

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hooks.types import Hook, Hooks


def plan_hooks(configured: Hooks | None, stage: str) -> list[Hook]:
    """The hooks of one stage, first to run first.

    configured: the `hooks` object of config.json. Raises KeyError for a stage that does not exist.

    This is the one place that decides what applies. Hooks from hooks.d directories, matched by
    their `when` conditions, belong after the configured ones, sorted by file name.
    """
    if stage not in BY_NAME:
        raise KeyError(stage)
    if configured is None:
        return []
    by_stage: dict[str, list[Hook]] = configured  # type: ignore[assignment]  # keys are checked
    return list(by_stage.get(stage) or ())
