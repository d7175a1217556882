"""A workload as the supervisor sees it once its directory has been read and checked."""

from __future__ import annotations

from dataclasses import dataclass, field

from supervisor.policy import Policy


@dataclass(frozen=True, slots=True)
class Stop:
    """How to end it: signal number, seconds until everything in it is killed."""

    signal: int = 15
    timeout: float = 10.0


@dataclass(frozen=True, slots=True)
class Mount:
    """One mount besides the default ones, in config.json's terms."""

    destination: str
    source: str
    type: str
    options: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Hook:
    """One hook of a [container] workload; `timeout` in seconds, None for the default one."""

    path: str
    args: tuple[str, ...] | None
    env: tuple[tuple[str, str], ...]
    timeout: float | None


@dataclass(frozen=True, slots=True)
class Container:
    """The [container] table. Sizes in bytes, `cpus` in CPUs, None for no limit."""

    args: tuple[str, ...]
    rootfs: str = "host-usr"
    env: tuple[tuple[str, str], ...] = ()
    user: tuple[int, int] = (0, 0)
    cwd: str = "/"
    hostname: str | None = None
    network: str = "none"
    read_only: bool = True
    capabilities: tuple[str, ...] | None = None
    memory: int | None = None
    cpus: float | None = None
    pids: int = 1024
    mounts: tuple[Mount, ...] = ()


@dataclass(frozen=True, slots=True)
class Settings:
    """All that a workload.toml says."""

    restart: Policy = field(default_factory=Policy)
    stop: Stop = field(default_factory=Stop)
    hook_timeout: float = 30.0
    hooks: tuple[tuple[str, tuple[Hook, ...]], ...] = ()
    container: Container | None = None


@dataclass(frozen=True, slots=True)
class Workload:
    """One directory, read: `config` is the OCI config, `rootfs` the embedded root it asks for."""

    name: str
    directory: str
    settings: Settings
    config: dict[str, object]
    embedded_root: bool = False
    warnings: tuple[str, ...] = ()
