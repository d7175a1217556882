"""Which sysctls a container may set, and how their names are read.

Only what the kernel keeps per namespace, and only if the container has a namespace of its own
(new or joined) for it: everything else under /proc/sys is the host's. The name is turned into a
path once, here, and every component checked, so that no spelling leads elsewhere
(CVE-2022-0811 began with a sysctl that nobody had looked at).
"""

from __future__ import annotations

from runtime.errors import ConfigError
from runtime.jsonio import join_path, quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container

# sysctls of ipc/ipc_sysctl.c that belong to an IPC namespace.
_IPC = frozenset(
    (
        "kernel/msgmax",
        "kernel/msgmnb",
        "kernel/msgmni",
        "kernel/sem",
        "kernel/shmall",
        "kernel/shmmax",
        "kernel/shmmni",
        "kernel/shm_rmid_forced",
    )
)


def sysctl_path(key: str) -> str:
    """The path below /proc/sys of a sysctl's name, read as sysctl(8) reads it.

    Whichever of `.` and `/` comes first separates; with `.` first, `/` stands for a dot within a
    component: `net.ipv4.conf.eno2/100.rp_filter` is net/ipv4/conf/eno2.100/rp_filter. Raises
    ValueError with what is wrong.
    """
    dot, slash = key.find("."), key.find("/")
    if dot >= 0 and (slash < 0 or dot < slash):
        key = key.translate({ord("."): "/", ord("/"): "."})
    for part in key.split("/"):
        if part in ("", ".", ".."):
            raise ValueError("expected a sysctl such as net.ipv4.ip_forward")
        if not part.isascii() or not part.isprintable() or " " in part:
            raise ValueError("expected ASCII letters, digits and punctuation")
    return key


def sysctl_key(path: str) -> str:
    """The JSON path of a sysctl, from its path below /proc/sys; spelled with dots, as most are."""
    return join_path(("linux", "sysctl", path.translate({ord("."): "/", ord("/"): "."})))


def needs(path: str) -> str | None:
    """The type of namespace that a sysctl belongs to; None: the host's, or unknown."""
    if path in _IPC or path.startswith("fs/mqueue/"):
        return "ipc"
    if path == "kernel/domainname":
        return "uts"
    if path.startswith("net/"):
        return "network"
    if path.startswith("user/"):
        return "user"
    return None


def check_sysctl(sysctl: dict[str, str], namespaces: Container[str]) -> None:
    """Raise ConfigError for the first one that is not allowed."""
    seen: dict[str, str] = {}
    for key in sysctl:
        where = join_path(("linux", "sysctl", key))
        try:
            path = sysctl_path(key)
        except ValueError as error:
            raise ConfigError(where, f"{error}, found {quote(key)}") from None
        if path == "kernel/hostname":
            raise ConfigError(where, "not allowed, set hostname instead")
        namespace = needs(path)
        if namespace is None:
            raise ConfigError(where, "not allowed, it is not in a separate kernel namespace")
        if namespace not in namespaces:
            raise ConfigError(
                where, f"not allowed in the host's {namespace} namespace, add one to the container"
            )
        if path in seen:
            raise ConfigError(where, f"the same sysctl as {quote(seen[path])}")
        seen[path] = key
