"""What a container is to be made from: the arguments of `create`, whoever gives them."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from runtime.spec.types import Spec

    class Logger(Protocol):
        """Where diagnostics go: runtime.cli.log.Log, or the supervisor's."""

        def debug(self, text: str) -> None: ...
        def warning(self, text: str) -> None: ...


class CreateRequest:
    """What `create` was asked for. Paths are absolute; "" stands for none.

    stdio: descriptors for 0, 1, 2 and on (-1: a hole). notify: make the directory that spec mounts
    for sd_notify(3) (runtime/notify.py). tied: init dies with the process that launches it.
    cgroups: who makes the cgroups: cgroupfs (ourselves), systemd, or disabled (nobody). tolerant:
    where there is no permission to make one the container goes without.
    """

    __slots__ = (
        "bundle", "cgroups", "console_socket", "id", "log", "no_new_keyring", "no_pivot", "notify",
        "pid_file", "pidfd_socket", "root", "spec", "stdio", "tied", "tolerant",
    )  # fmt: skip

    def __init__(
        self,
        root: str,
        container_id: str,
        bundle: str,
        spec: Spec,
        log: Logger,
        *,
        stdio: list[int] | None = None,
        console_socket: str = "",
        pidfd_socket: str = "",
        pid_file: str = "",
        no_pivot: bool = False,
        no_new_keyring: bool = False,
        notify: bool = False,
        tied: bool = False,
        cgroups: str = "cgroupfs",
        tolerant: bool = True,
    ) -> None:
        self.root = root
        self.id = container_id
        self.bundle = bundle
        self.spec = spec
        self.log = log
        self.stdio = stdio or [0, 1, 2]
        self.console_socket = console_socket
        self.pidfd_socket = pidfd_socket
        self.pid_file = pid_file
        self.no_pivot = no_pivot
        self.no_new_keyring = no_new_keyring
        self.notify = notify
        self.tied = tied
        self.cgroups = cgroups
        self.tolerant = tolerant

    def keyring(self) -> str:
        """Name of the container's session keyring, "" for none; the same as long as it is there."""
        return "" if self.no_new_keyring else f"_ses.{self.id}"
