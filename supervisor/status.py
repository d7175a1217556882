"""What can be asked about a workload."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from supervisor.policy import Ending
from supervisor.workload.errors import Problem


@dataclass(frozen=True, slots=True)
class WorkloadStatus:
    """One workload at one moment.

    One of which no version can be used has the status `refused`, `problems`, and neither `policy`
    nor `start` (""). Times (`since`, `started_at`, `next_attempt_at`) are seconds since boot,
    suspended time included, as `now` of /about and `monotonic` of the events are.
    """

    name: str
    state: str
    status: str
    """The public state: `machine.Status`."""
    result: str
    ready: bool
    health: str | None
    """`starting`, `healthy` or `unhealthy`; None where nobody looks."""
    status_text: str
    """What the program says of itself."""
    container: str | None
    pid: int | None
    attempt: int
    restarts: int
    series: int
    window_used: int
    """Restarts that count against `limit` now."""
    limit: int
    next_attempt_at: float | None
    why: str
    """Why it is in this state."""
    intent: str
    start: str
    group: str | None
    after: tuple[str, ...]
    waiting_for: tuple[str, ...]
    since: float
    """When it came into this state."""
    started_at: float | None
    exit: Ending | None
    """How the last run ended."""
    generation: int
    directory: str
    policy: str
    problems: tuple[Problem, ...]
    """What is wrong with its files; what runs, if something does, is a version before them."""

    def to_json(self) -> dict[str, object]:
        """As JSON has it."""
        return asdict(self)
