"""What the supervisor needs of a container, and nothing more.

supervisor/driver.py is the real thing; tests have a simulated one under trio's MockClock.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from supervisor.policy import Cause, Ending
from supervisor.workload.model import Workload

if TYPE_CHECKING:
    from supervisor.monitor.types import Monitor

Report = Callable[..., object]
"""`EventLog.emit`."""


class ContainerError(Exception):
    """An operation on a container failed: `cause` is HOOK or SETUP, the text says what failed."""

    def __init__(self, cause: Cause, text: str) -> None:
        super().__init__(text)
        self.cause = cause


@dataclass(frozen=True, slots=True)
class Exit:
    """How a container's first process ended; neither code nor signal: nobody can know."""

    code: int | None = None
    signal: int | None = None
    core: bool = False
    oom_kills: int | None = None

    def ending(self, uptime: float) -> Ending:
        """The same for the policy. OOM is the cause only if the kernel counted a kill (never
        inferred from SIGKILL alone, which anyone can send)."""
        if self.code is None and self.signal is None:
            cause = Cause.UNKNOWN
        elif self.oom_kills and self.signal == 9:
            cause = Cause.OOM
        else:
            cause = Cause.EXIT if self.signal is None else Cause.SIGNAL
        return Ending(cause, self.code, self.signal, self.core, self.oom_kills, uptime)


class Container(Protocol):
    """One run of one workload: made, started, ended, deleted, and then not used again."""

    id: str
    pid: int | None
    """Host pid of the first process, once created."""
    start_time: int | None
    """When that process was started, in clock ticks after boot (proc_pid_stat(5)), once created."""
    started_at: float | None
    """trio time at which the program was let go."""

    async def create(self) -> None:
        """Make it. Raises ContainerError; then, and when cancelled, nothing of it is left."""

    async def start(self) -> None:
        """Run its program, then its poststart hooks. Raises ContainerError; then, and when
        cancelled, the container is still there and has to be deleted."""

    async def wait(self) -> Exit:
        """Until its first process is gone. To be called once, after `create`."""

    def signal(self, number: int) -> None:
        """Send its first process a signal; nothing happens if that is gone already."""

    async def kill(self) -> None:
        """Kill everything in it. Raises ContainerError if something does not die."""

    async def delete(self) -> None:
        """Kill what still lives, remove everything, run poststop hooks (of which a failing one is
        reported and changes nothing). Raises ContainerError with what is left."""

    def hurry(self) -> None:
        """Let no hook take any more time."""

    def last_output(self) -> list[str]:
        """The last lines its program wrote, as far as they were kept."""


class GoneContainer:
    """A container of which nothing is left but how it ended: `pid` was its first process."""

    def __init__(self, container_id: str, pid: int | None, end: Exit | None = None) -> None:
        self.id = container_id
        self.pid = pid
        self.start_time: int | None = None
        self.started_at: float | None = None
        self._exit = end or Exit()

    async def create(self) -> None:
        """Not any more."""
        raise ContainerError(Cause.SETUP, "the container is gone")

    async def start(self) -> None:
        """Not any more."""
        raise ContainerError(Cause.SETUP, "the container is gone")

    async def wait(self) -> Exit:
        """As is known."""
        return self._exit

    def signal(self, number: int) -> None:
        """Nobody is there."""

    async def kill(self) -> None:
        """Nobody is there."""

    async def delete(self) -> None:
        """Nothing is there."""

    def hurry(self) -> None:
        """Nothing takes time."""

    def last_output(self) -> list[str]:
        """Nobody knows."""
        return []


class Engine(Protocol):
    """Makes containers."""

    def container(self, workload: Workload, report: Report) -> Container:
        """A container for the next run of `workload`; nothing is done yet."""

    def monitor(self, workload: Workload, container: Container) -> Monitor | None:
        """What watches that run; None if nothing needs to. Called once its program runs, and again
        when its settings have changed."""

    def forget(self, workload: Workload) -> None:
        """The workload has been removed and has no container: so may go what was kept for it."""
