"""The launcher: one warm, sealed, single-threaded process that clones containers for `creched`.

A trio process has threads and must not fork; this one has everything imported and nothing else to
do. It reads orders from a SOCK_SEQPACKET socket (descriptor 3), and clones each container's init
with CLONE_PARENT, so that it becomes `creched`'s own child. An order is small; its plan comes as a
sealed memfd, which may be of any size, the first time and whenever the launcher asks for it:

    {"type": "launch", "digest": …, "cgroup": {hierarchy: directory}, "cgroup_mounts": …,
     "no_pivot": …, "keyring": …, "with_plan": …}
     descriptors: sync, start listener, stdin, stdout, stderr, further ones to preserve, plan
    -> {"type": "launched", "pid": …, "helper": …, "cgroup": {…}, "warnings": […]}
    -> {"type": "error", "text": …, "errno": …}
    -> {"type": "unknown"}                       nothing was done: the plan has to come along

Orders about containers that run are in runtime/launcher_exec.py. It ends when the other side closes
its end.
"""

from __future__ import annotations

import os
import sys

if __name__ == "__main__":  # run as a file, isolated: nothing has put the package on the path
    sys.path.append(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))

import gc

from hooks import blocking
from runtime import keepfile, launcher_exec, netdevices, seal
from runtime.cgroups import Cgroup, bpf, device_bpf
from runtime.channel import Channel, ProtocolError, close_all
from runtime.errors import CrecheError
from runtime.init.seal import close_import_system
from runtime.jsonio import loads
from runtime.launch import Launch, launch
from runtime.launcher_plans import Plans
from runtime.seccomp import libseccomp

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from runtime.launcher_plans import Known

SOCKET_FD = 3
# Imported when they are first needed, which in here has to be now: from a closed import system they
# cannot be.
PRELOADED = (netdevices, bpf, device_bpf, blocking, libseccomp, keepfile)
OWN_NETWORK = "/proc/self/ns/net"
FIXED_FDS = 5  # sync, listener and three standard streams


class Launcher:
    """Serves orders, one at a time."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.plans = Plans()
        self.network = os.open(OWN_NETWORK, os.O_RDONLY | os.O_CLOEXEC)

    def serve(self) -> None:
        """Until the other side hangs up."""
        while (received := self.channel.receive()) is not None:
            order, fds = received
            made: list[int] = []
            try:
                answer = self._carry_out(order, fds, made)
            except CrecheError as error:
                number = getattr(error, "number", 0)
                answer = {"type": "error", "text": str(error)[:8192], "errno": number}
            except OSError as error:
                text = f"launch: {error.strerror}"
                answer = {"type": "error", "text": text, "errno": error.errno or 0}
            finally:
                close_all(fds)
            self.channel.send(answer, made)
            close_all(made)

    def _carry_out(
        self, order: dict[str, Any], fds: list[int], made: list[int]
    ) -> dict[str, object]:
        """The answer; descriptors that go with it are added to `made`."""
        kind = order["type"]
        if kind in ("launch", "exec"):
            known = self._plan(order, fds)
            if known is None:
                return {"type": "unknown"}
            if kind == "launch" and len(fds) >= FIXED_FDS:
                return self._launch(order, known, fds)
            if kind == "exec" and len(fds) == launcher_exec.EXEC_FDS:
                return launcher_exec.run(order, known, fds)
        if kind == "socket" and len(fds) == 1:
            made.append(launcher_exec.make_socket(order, fds[0], self.network))
            return {"type": "socket"}
        if kind == "look" and len(fds) == 1:
            return launcher_exec.look(order, fds[0])
        raise ProtocolError("an order that the launcher does not know")

    def _launch(self, order: dict[str, Any], known: Known, fds: list[int]) -> dict[str, object]:
        warnings: list[str] = []
        cgroup = Cgroup(order["cgroup"])
        task = Launch(
            known.document,
            fds[2:],
            fds[0],
            fds[1],
            cgroup_mounts=order["cgroup_mounts"],
            no_pivot=order["no_pivot"],
            keyring=order["keyring"],
        )
        task.filter = known.profile.filter
        launched = launch(task, cgroup, warnings.append, as_sibling=True)
        known.profile.filter = task.filter
        return {
            "type": "launched",
            "pid": launched.pid,
            "helper": launched.helper,
            "cgroup": cgroup.paths,
            "warnings": warnings,
        }

    def _plan(self, order: dict[str, Any], fds: list[int]) -> Known | None:
        """The order's plan, parsed once; None if it is not known and did not come along."""
        digest = str(order["digest"])
        known = self.plans.get(digest)
        if not order["with_plan"] or not fds:
            return known
        fd = fds.pop()
        try:
            if known is None:
                document = loads(os.pread(fd, os.fstat(fd).st_size, 0))
                known = self.plans.add(digest, document)
        finally:
            os.close(fd)
        return known


def main() -> None:
    """Entry: seal the interpreter, then serve."""
    if not seal.is_sealed():
        os.set_inheritable(SOCKET_FD, True)
        seal.reexecute(os.path.realpath(__file__), sys.argv[1:])
    os.set_inheritable(SOCKET_FD, False)
    os.chdir("/")
    bpf.keep_programs()
    # Here, so that no clone has to: each page that it writes to is a page that it copies.
    close_import_system()
    # Clones share this memory until they write to it; a collection would touch all of it.
    gc.collect()
    gc.freeze()
    Launcher(Channel.from_fd(SOCKET_FD)).serve()


if __name__ == "__main__":
    main()
