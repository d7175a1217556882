"""What the runtime has to say about a container, as events."""

from __future__ import annotations

from hooks.errors import HookError
from supervisor.container import Report


class Log:
    """What runtime.lifecycle wants for a log: warnings become events, the rest is not kept."""

    def __init__(self, workload: str, container: str, report: Report) -> None:
        self._workload = workload
        self._container = container
        self._report = report

    def debug(self, text: str) -> None:
        """Nobody asked."""

    def warning(self, text: str) -> None:
        """An event."""
        self._report(
            "container-warning", workload=self._workload, container=self._container, message=text
        )

    def hook_failed(self, error: HookError) -> None:
        """A poststop hook failed, which changes nothing else."""
        self._report(
            "hook-failed",
            workload=self._workload,
            container=self._container,
            stage=error.stage,
            message=str(error),
        )

    def oom(self, count: int) -> None:
        """The kernel killed something in it."""
        self._report("oom", workload=self._workload, container=self._container, count=count)
