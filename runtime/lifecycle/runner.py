"""The process that runs a container's hooks: noted with the state, swept after if it was killed.

A hook lives in a control group of its own below that of its runner (hooks/cgroup.py). If the runner
is killed meanwhile the next process to save the state finds and ends what is left.
"""

from __future__ import annotations

import os

from hooks.cgroup import own_cgroup, sweep
from runtime.state import boot_id, process_start_time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.state import Runner, State

_this: Runner | None = None


def this_process() -> Runner:
    """Pid, start time and control group of this process; looked up once, for they stay."""
    global _this
    pid = os.getpid()
    if _this is None or _this[0] != pid:
        _this = (pid, process_start_time(pid) or 0, own_cgroup() or "")
    return _this


def sweep_after(state: State) -> None:
    """End the hooks of whoever saved this state last, if that process is gone."""
    runner = state.get("runner")
    if not runner or not runner[2] or state["boot_id"] != boot_id():
        return
    pid, start_time, base = runner
    if pid != os.getpid() and process_start_time(pid) != start_time:
        sweep(base, pid)
