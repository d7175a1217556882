"""The tables of a workload.toml. A new one is a module here, a line in SECTIONS, one in Settings.

`Settings` has an attribute for each of SECTIONS, of the same name: it holds what its `make` makes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from supervisor.workload.lines import Path
from supervisor.workload.schema import Section, Values
from supervisor.workload.sections.alerts import ALERTS
from supervisor.workload.sections.container import CONTAINER
from supervisor.workload.sections.health import HEALTH
from supervisor.workload.sections.hooks import HOOKS
from supervisor.workload.sections.logs import LOGS
from supervisor.workload.sections.network import NETWORK, together
from supervisor.workload.sections.ready import READY
from supervisor.workload.sections.restart import RESTART
from supervisor.workload.sections.stop import STOP
from supervisor.workload.sections.update import UPDATE
from supervisor.workload.sections.watchdog import WATCHDOG
from supervisor.workload.sections.workload import WORKLOAD

SECTIONS: tuple[Section, ...] = (
    WORKLOAD,
    RESTART,
    STOP,
    READY,
    HEALTH,
    WATCHDOG,
    LOGS,
    UPDATE,
    ALERTS,
    HOOKS,
    NETWORK,
    CONTAINER,
)


def _hooks_need_a_container(settings: Values) -> Iterable[tuple[Path, str]]:
    if settings["container"] is None and settings["hooks"].stages:
        stage = settings["hooks"].stages[0][0]
        yield (
            ("hooks", stage),
            "hooks go together with [container]; a config.json holds its own",
        )


def _probes_need_health(settings: Values) -> Iterable[tuple[Path, str]]:
    if settings["ready"].on == "probe" and settings["health"] is None:
        yield ("ready", "on"), 'ready.on = "probe" goes together with [health]'


def _networks_together(settings: Values) -> Iterable[tuple[Path, str]]:
    for index, key, message in together(settings["network"]):
        yield ("network", index, key), message
    container = settings["container"]
    if settings["network"] and container is not None and container.network is not None:
        yield ("container", "network"), "cannot go together with [network]"


RULES: tuple[Callable[[Values], Iterable[tuple[Path, str]]], ...] = (
    _hooks_need_a_container,
    _probes_need_health,
    _networks_together,
)
"""Rules over more than one table: from what the sections made to (path, message)."""
