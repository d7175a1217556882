"""A workload as the supervisor sees it once its directory has been read and checked."""

from __future__ import annotations

from dataclasses import dataclass, field

from supervisor.network.model import Attachment
from supervisor.policy import Policy
from supervisor.workload.sections.alerts import Alert
from supervisor.workload.sections.container import Container
from supervisor.workload.sections.health import Health
from supervisor.workload.sections.hooks import Hooks
from supervisor.workload.sections.logs import Logs
from supervisor.workload.sections.ready import Ready
from supervisor.workload.sections.stop import Stop
from supervisor.workload.sections.update import Update
from supervisor.workload.sections.watchdog import Watchdog
from supervisor.workload.sections.workload import Placement


@dataclass(frozen=True, slots=True)
class Settings:
    """All that a workload.toml says; an attribute for each of `sections.SECTIONS`."""

    restart: Policy = field(default_factory=Policy)
    stop: Stop = field(default_factory=Stop)
    ready: Ready = field(default_factory=Ready)
    health: Health | None = None
    watchdog: Watchdog | None = None
    logs: Logs = field(default_factory=Logs)
    alerts: tuple[Alert, ...] = ()
    hooks: Hooks = field(default_factory=Hooks)
    update: Update = field(default_factory=Update)
    network: tuple[Attachment, ...] = ()
    container: Container | None = None
    workload: Placement = field(default_factory=Placement)
    given: dict[str, object] = field(default_factory=dict, compare=False)
    """Parsed values of the keys that are written down, for comparisons of two versions."""


@dataclass(frozen=True, slots=True)
class Workload:
    """One directory, read: `config` is the OCI config.

    `digest` tells one version of its files from another, `generation` numbers those that were taken
    (0: none has been kept). `inode` is the directory's (device, number), `root` that of its root
    file system, where there is one: so a directory that was renamed and a root that was swapped are
    noticed.
    """

    name: str
    directory: str
    settings: Settings
    config: dict[str, object]
    embedded_root: bool = False
    warnings: tuple[str, ...] = ()
    digest: str = ""
    generation: int = 0
    inode: tuple[int, int] = (0, 0)
    root: tuple[int, int] | None = None
