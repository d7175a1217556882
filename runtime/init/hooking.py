"""Hooks that run inside the container: createContainer and startContainer.

Init imports nothing, so what runs them is imported by the launching process, and only for a
container that has some: most have none, and hooks are a tenth of the modules.
"""

from __future__ import annotations

from runtime.errors import CrecheError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    from runtime.plan.types import LaunchPlan

    class Runner(Protocol):
        """Runs the hooks of one stage. Raises CrecheError."""

        def __call__(
            self, stage: str, state: bytes, before_exec: Callable[[], None] | None = None
        ) -> None: ...


def runner(plan: LaunchPlan) -> Runner | None:
    """What runs this container's hooks; None if it has none. Call it before the clone."""
    stages = {
        "createContainer": plan["create_container_hooks"],
        "startContainer": plan["start_container_hooks"],
    }
    if not any(stages.values()):
        return None
    from hooks.blocking import run_hooks
    from hooks.errors import HookError

    def run(stage: str, state: bytes, before_exec: Callable[[], None] | None = None) -> None:
        try:
            run_hooks(stage, stages[stage], state, isolate=False, before_exec=before_exec)
        except HookError as error:
            raise CrecheError(str(error)) from None

    return run
