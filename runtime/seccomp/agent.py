"""Hand a seccomp listener to the agent that answers for it (config-linux.md#seccomp, listenerPath).

The filter is loaded by the process that it is for, last of all; the listener is fetched out of it
with pidfd_getfd(2) (Linux 5.6), so that the process needs no more than the write(2) and read(2) of
a short conversation. A profile may not notify of write for that reason.
"""

from __future__ import annotations

import _socket
import os

from runtime.errors import CrecheError, KernelError
from runtime.jsonio import dumps
from runtime.linux.process import pidfd_getfd

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from runtime.channel import Channel

_PATH_MAX = 107


def offer(channel: int, listener: int) -> None:
    """In the process, once the filter holds: wait until the driver has fetched the listener.

    channel, listener: descriptors. Raises OSError if the driver is gone or could not hand it over.
    """
    os.write(channel, b'{"type":"seccomp","fd":%d}' % listener)
    if not os.read(channel, 64):
        os._exit(1)


def accept(
    message: Mapping[str, object],
    channel: Channel,
    pidfd: int,
    profile: Mapping[str, Any],
    state: dict[str, object],
) -> None:
    """In the driver: fetch the listener, send it to the agent, let the process go on.

    state: the container's state document. Raises CrecheError; the process then ends by itself.
    """
    number = message.get("fd")
    if not isinstance(number, int) or number < 0:
        raise CrecheError("init offers a seccomp listener without a number")
    try:
        listener = pidfd_getfd(pidfd, number)
    except OSError as error:
        raise KernelError("pidfd_getfd", "", error.errno or 0, "linux.seccomp") from None
    try:
        _send(str(profile["listenerPath"]), listener, _document(profile, state))
    finally:
        os.close(listener)
    channel.send({"type": "seccomp-sent"})


def _document(profile: Mapping[str, Any], state: dict[str, object]) -> bytes:
    """ContainerProcessState of the specification."""
    document: dict[str, object] = {
        "ociVersion": state["ociVersion"],
        "fds": ["seccompFd"],
        "pid": state["pid"],
    }
    if profile.get("listenerMetadata"):
        document["metadata"] = profile["listenerMetadata"]
    document["state"] = state
    return dumps(document).encode("utf-8", "surrogateescape")


def _send(path: str, listener: int, document: bytes) -> None:
    """One stream connection, one message with the descriptor, and hang up."""
    key = "linux.seccomp.listenerPath"
    if len(os.fsencode(path)) > _PATH_MAX:
        raise CrecheError(f"{key}: {path}: longer than a socket's address may be")
    sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC, 0)
    try:
        sock.connect(path)
        rights = (_socket.SOL_SOCKET, _socket.SCM_RIGHTS, listener.to_bytes(4, "little"))
        sent = sock.sendmsg([document], [rights], _socket.MSG_NOSIGNAL)
        while sent < len(document):
            sent += sock.send(document[sent:], _socket.MSG_NOSIGNAL)
    except OSError as error:
        raise KernelError(
            "failed to connect with seccomp agent", path, error.errno or 0, key
        ) from None
    finally:
        sock.close()
