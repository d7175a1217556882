"""sd_notify(3) from within a container: what its program says reaches the service manager outside.

As runc does it: where NOTIFY_SOCKET is set for `create`, a directory of the container's state is
bound read-only to /run/notify, and NOTIFY_SOCKET leads into it. Where it is set for `start` (or
`run`), that listens there, waits for READY=1 and hands it on together with MAINPID, the container's
process as the host numbers it, and a barrier.

The container is not believed: a message has to come from one of its processes, descriptors are not
taken, and of the lines only those get through that speak about the service's own progress. It can
neither name another main process nor store descriptors with the service manager.
"""

from __future__ import annotations

import _socket
import os
import select
import struct

from runtime.errors import KernelError, strerror
from runtime.foreground import Signals

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.lifecycle.container import Container
    from runtime.spec.types import Mount, Spec

VARIABLE = "NOTIFY_SOCKET"
DIRECTORY = "notify"  # in the state directory
SOCKET = "notify.sock"
INSIDE = "/run/notify"

MAX_MESSAGE = 4096  # bytes; as runc, and what systemd reads
SEND_TIMEOUT = 5  # seconds
BARRIER_TIMEOUT = 30  # seconds; as sd_notify_barrier(3) recommends

_READY = "READY=1"
_FLAGS = (_READY, "RELOADING=1", "STOPPING=1", "WATCHDOG=1")
_NUMBERS = ("MONOTONIC_USEC", "ERRNO", "EXTEND_TIMEOUT_USEC")
_CREDENTIALS = struct.Struct("iII")  # struct ucred: pid, uid, gid


def host_address() -> str:
    """Where the service manager listens, "" if nobody does."""
    return os.environ.get(VARIABLE, "")


def pass_in(spec: Spec, state_directory: str) -> bool:
    """Add the mount and the variable to a configuration; False if it has no place for them."""
    process = spec.get("process")
    kinds = [namespace["type"] for namespace in spec.get("linux", {}).get("namespaces", [])]
    if process is None or "mount" not in kinds:
        return False
    mount: Mount = {
        "destination": INSIDE,
        "type": "bind",
        "source": f"{state_directory}/{DIRECTORY}",
        "options": ["bind", "nosuid", "noexec", "nodev", "ro"],
    }
    spec["mounts"] = [*spec.get("mounts", []), mount]
    process["env"] = [*process.get("env", []), f"{VARIABLE}={INSIDE}/{SOCKET}"]
    return True


def make_directory(state_directory: str) -> None:
    """What pass_in() mounts; readable for the container's users. Raises KernelError."""
    path = f"{state_directory}/{DIRECTORY}"
    try:
        os.mkdir(path)
        # The state directory above it keeps the host's users out.
        os.chmod(path, 0o755)  # noqa: S103 - the container's are to reach the socket
    except OSError as error:
        raise KernelError("make", path, error.errno or 0, VARIABLE) from None


def open_relay(container: Container, main_pid: int) -> Relay | None:
    """Listen for a container that is about to be started.

    main_pid: what the service manager is to watch. None if nobody waits for a message, or the
    container was made without a way to send one. Raises KernelError.
    """
    host = host_address()
    directory = f"{container.directory.path}/{DIRECTORY}"
    if not host or not os.path.isdir(directory):
        return None
    return Relay(container, directory, host, main_pid)


class Relay:
    """Hands messages on; ready: READY=1 was among them."""

    __slots__ = ("_container", "_directory", "_host", "_main_pid", "_socket", "ready")

    def __init__(self, container: Container, directory: str, host: str, main_pid: int) -> None:
        self._container = container
        self._main_pid = main_pid
        self._host = _connect(host)
        self.ready = False
        self._directory = -1
        try:
            self._directory = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            self._socket = _listen(self._directory)
        except BaseException as error:
            self._host.close()
            if self._directory >= 0:
                os.close(self._directory)
            if isinstance(error, OSError):
                path = f"{directory}/{SOCKET}"
                raise KernelError("listen on", path, error.errno or 0, VARIABLE) from None
            raise

    def fileno(self) -> int:
        return self._socket.fileno()

    def handle(self) -> None:
        """Take one message and hand on what may be; never waits for one."""
        space = _socket.CMSG_SPACE(_CREDENTIALS.size)  # none for descriptors: the kernel drops them
        try:
            data, ancillary, flags, _address = self._socket.recvmsg(
                MAX_MESSAGE, space, _socket.MSG_DONTWAIT | _socket.MSG_CMSG_CLOEXEC
            )
        except BlockingIOError:
            return
        if flags & _socket.MSG_TRUNC or not self._from_container(ancillary):
            self._container.log.warning(f"{VARIABLE}: a message was dropped: too long or foreign")
            return
        lines = believed(data)
        if not lines:
            return
        if _READY not in lines or self.ready:
            self._send("\n".join(lines), _socket.MSG_DONTWAIT)
            return
        self.ready = True
        self._send("\n".join(lines))
        self._send(f"MAINPID={self._main_pid}")

    def wait(self, pidfd: int) -> None:
        """Until the container is ready, and the service manager knows; or until it ends (pidfd)."""
        poll = select.poll()
        poll.register(self.fileno(), select.POLLIN)
        poll.register(pidfd, select.POLLIN)
        while not self.ready:
            events = dict(poll.poll())
            if self.fileno() in events:
                self.handle()
            elif pidfd in events:
                return
        self.barrier()

    def barrier(self) -> None:
        """sd_notify_barrier(3): the other side closes a descriptor when it has come this far.

        Without it a sender that ends at once can no longer be attributed to its unit.
        """
        reader, writer = os.pipe2(os.O_CLOEXEC)
        try:
            rights = (_socket.SOL_SOCKET, _socket.SCM_RIGHTS, struct.pack("i", writer))
            try:
                self._host.sendmsg([b"BARRIER=1"], [rights], _socket.MSG_NOSIGNAL)
            except OSError as error:
                self._complain(error)
                return
            finally:
                os.close(writer)
            poll = select.poll()
            poll.register(reader, 0)  # POLLHUP is always reported
            if not poll.poll(BARRIER_TIMEOUT * 1000):
                self._container.log.warning(
                    f"{VARIABLE}: no answer to BARRIER=1 within {BARRIER_TIMEOUT} s"
                )
        finally:
            os.close(reader)

    def close(self) -> None:
        """Nobody listens from here on."""
        self._socket.close()
        self._host.close()
        try:
            os.unlink(SOCKET, dir_fd=self._directory)
        except OSError:
            pass  # it went with the container
        os.close(self._directory)

    def _from_container(self, ancillary: list[tuple[int, int, bytes]]) -> bool:
        """Whether the kernel vouches for a sender in the container.

        Only its processes and root of the host can reach the socket. One that has ended meanwhile
        cannot be looked up any more and is let through: systemd-notify(1) ends at once.
        """
        for level, kind, data in ancillary:
            if level == _socket.SOL_SOCKET and kind == _socket.SCM_CREDENTIALS:
                pid = _CREDENTIALS.unpack_from(data)[0]
                if pid <= 0:  # in none of our pid namespaces
                    return False
                return pid in self._container.cgroup().pids() or not os.path.exists(f"/proc/{pid}")
        return False

    def _send(self, text: str, flags: int = 0) -> None:
        try:
            self._host.send(text.encode() + b"\n", flags | _socket.MSG_NOSIGNAL)
        except OSError as error:
            self._complain(error)

    def _complain(self, error: OSError) -> None:
        reason = strerror(error.errno or 0)
        self._container.log.warning(f"{VARIABLE}: notify the service manager: {reason}")


def believed(data: bytes) -> list[str]:
    """The lines of a message that a container may say. Pure."""
    lines = []
    for line in data.decode("utf-8", "replace").split("\n"):
        name, _equals, value = line.partition("=")
        number = name in _NUMBERS and value.isascii() and value.isdigit()
        status = name == "STATUS" and value.isprintable()
        if line in _FLAGS or number or status:
            lines.append(line)
    return lines


def _connect(host: str) -> _socket.socket:
    """To an absolute path, or an abstract address that begins with @."""
    kind = _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC
    connection = _socket.socket(_socket.AF_UNIX, kind, 0)
    try:
        timeout = struct.pack("ll", SEND_TIMEOUT, 0)
        connection.setsockopt(_socket.SOL_SOCKET, _socket.SO_SNDTIMEO, timeout)
        connection.connect("\0" + host[1:] if host.startswith("@") else host)
    except OSError as error:
        connection.close()
        # CPython has its own, without a number, for an address that is too long.
        hint = "" if error.errno else str(error)
        raise KernelError("connect to", host, error.errno or 22, VARIABLE, hint) from None
    return connection


def _listen(directory: int) -> _socket.socket:
    kind = _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC
    listener = _socket.socket(_socket.AF_UNIX, kind, 0)
    try:
        listener.setsockopt(_socket.SOL_SOCKET, _socket.SO_PASSCRED, 1)
        try:
            os.unlink(SOCKET, dir_fd=directory)
        except FileNotFoundError:
            pass
        # Not chmod(2) afterwards: that would follow a link which a container with the right to
        # make its mount writable could have put there.
        mask = os.umask(0)
        try:
            listener.bind(f"/proc/self/fd/{directory}/{SOCKET}")
        finally:
            os.umask(mask)
    except BaseException:
        listener.close()
        raise
    return listener


class RelayingSignals(Signals):
    """The signals of a foreground run, and the container's messages handed on in the same loop."""

    __slots__ = ("_inner", "_poll", "_relay")

    def __init__(self, inner: Signals, relay: Relay) -> None:
        self._inner = inner
        self._relay = relay
        # An epoll descriptor is readable when one of those in it is.
        self._poll = select.epoll()
        self._poll.register(inner.fd, select.EPOLLIN)
        self._poll.register(relay.fileno(), select.EPOLLIN)
        self.fd = self._poll.fileno()

    def take(self) -> bytes:
        """As Signals.take."""
        self._relay.handle()
        return self._inner.take()
