"""Running `criu swrk`: one process for one request, over a socket that it inherits."""

from __future__ import annotations

import _socket
import os

import runtime.linux.namespaces as ns
import runtime.linux.process as p
from runtime.channel import close_all
from runtime.errors import CrecheError, strerror
from runtime.init.descriptors import place

from .messages import FEATURE_CHECK, KINDS, NOTIFY, PRE_DUMP, VERSION, Answer, notified, request
from .wire import WireError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    # Called with the name of what CRIU has come to, the pid it names or 0, and descriptors.
    Notified = Callable[[str, int, list[int]], None]
else:
    import _signal

SOCKET = 3  # descriptor of the socket in CRIU; those after it are handed over in order
OLDEST = 30000  # 3.0: can be asked for its version
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_LARGEST = 64 * 1024
_INT = 4


def find() -> str:
    """The program. CrecheError says what to install."""
    for directory in (os.environ.get("PATH") or _PATH).split(":") + _PATH.split(":"):
        path = f"{directory}/criu"
        if directory.startswith("/") and os.access(path, os.X_OK):
            return path
    raise CrecheError(
        "criu is not installed: checkpoint and restore are its work "
        "(Debian: apt-get install criu; https://criu.org)"
    )


class Criu:
    """One CRIU process, our child. Close it."""

    def __init__(self, stdio: Sequence[int] = (), extra: Sequence[int] = ()) -> None:
        """stdio: descriptors for 0, 1, 2, or /dev/null; extra: for 4 and on. CrecheError."""
        program = find()
        ours, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET, 0)
        null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        numbers = [*(stdio or (null, null, null)), theirs.fileno(), *extra]
        try:
            self.pid = ns.clone3(0)
            if self.pid == 0:
                _become(program, numbers)
        except OSError as error:
            ours.close()
            raise CrecheError(f"start {program}: {strerror(error.errno or 0)}") from None
        finally:
            os.close(null)
            theirs.close()
        self._sock = ours

    def ask(self, data: bytes, on_notify: Notified | None = None) -> Answer:
        """Send a request and answer its notifications; the last answer. Raises CrecheError."""
        self._send(data)
        while True:
            answer, fds = self._receive()
            if answer.kind != NOTIFY:
                close_all(fds)
                return answer
            try:
                if on_notify is not None:
                    on_notify(answer.script, answer.pid, fds)
            finally:
                close_all(fds)
            self._send(notified())

    def _send(self, data: bytes) -> None:
        try:
            self._sock.sendmsg([data], [], _socket.MSG_NOSIGNAL)
        except OSError as error:
            raise CrecheError(f"criu: {strerror(error.errno or 0)}") from None

    def _receive(self) -> tuple[Answer, list[int]]:
        try:
            data, ancillary, _flags, _ = self._sock.recvmsg(
                _LARGEST, _socket.CMSG_SPACE(16 * _INT), _socket.MSG_CMSG_CLOEXEC
            )
        except OSError as error:
            raise CrecheError(f"criu: {strerror(error.errno or 0)}") from None
        fds = [
            int.from_bytes(payload[at : at + _INT], "little")
            for level, kind, payload in ancillary
            if level == _socket.SOL_SOCKET and kind == _socket.SCM_RIGHTS
            for at in range(0, len(payload) - _INT + 1, _INT)
        ]
        try:
            if not data:
                raise CrecheError("criu died before it had answered")
            return Answer(data), fds
        except WireError as error:
            close_all(fds)
            raise CrecheError(f"criu: an answer that cannot be read: {error}") from None

    def close(self) -> None:
        """Hang up, and wait for its end."""
        self._sock.close()
        try:
            os.waitpid(self.pid, 0)
        except ChildProcessError:
            pass


def _become(program: str, numbers: Sequence[int]) -> None:
    """In the new process; never returns."""
    try:
        place(list(numbers), [])
        p.close_range(len(numbers))
        _signal.signal(_signal.SIGPIPE, _signal.SIG_DFL)
        os.execve(program, ["criu", "swrk", str(SOCKET)], {"PATH": _PATH})  # noqa: S606
    except OSError as error:
        os.write(2, f"start {program}: {error}\n".encode())
    finally:
        os._exit(1)


def version() -> int:
    """Such as 31700. CrecheError if it is too old to say."""
    criu = Criu()
    try:
        answer = criu.ask(request(VERSION))
    finally:
        criu.close()
    if not answer.success or answer.version < OLDEST:
        raise CrecheError("the installed criu is too old: version 3.0 or newer is needed")
    return answer.version


def need(feature: str) -> None:
    """CrecheError if CRIU, or the kernel, lacks a feature."""
    criu = Criu()
    try:
        answer = criu.ask(request(FEATURE_CHECK, None, (feature,)))
    finally:
        criu.close()
    if not answer.success or feature not in answer.features:
        raise CrecheError(f"criu or this kernel cannot do what is asked for: {feature}")


def perform(
    criu: Criu, kind: int, options: Mapping[str, Any], log: str, on_notify: Notified | None = None
) -> Answer:
    """Dump or restore. A failure is told with the last errors of CRIU's log, and its path."""
    try:
        answer = criu.ask(request(kind, options), on_notify)
    finally:
        if kind == PRE_DUMP:
            criu.close()  # it waits for the next dump of a series, which is another process's
    if not answer.success:
        raise CrecheError(failure(KINDS[kind], answer, log))
    return answer


def failure(what: str, answer: Answer, log: str) -> str:
    """One line: what failed, why by CRIU's own log, where that is, and what often is the remedy."""
    reasons = errors_of(log)
    reason = "; ".join(reasons) or answer.text or (strerror(answer.errno) if answer.errno else "")
    return (
        f"criu {what} failed: {reason or 'no reason given'} (all of it in {log}; kernel "
        f"{os.uname().release} may need a newer criu than the installed one)"
    )


def errors_of(log: str, most: int = 3) -> list[str]:
    """The first lines with an error in CRIU's log, without their time and place."""
    try:
        with open(log, encoding="utf-8", errors="replace") as file:
            lines = [line for line in file if "Error (" in line]
    except OSError:
        return []
    return [line.partition("Error ")[2].strip()[:200] for line in lines[:most]]
