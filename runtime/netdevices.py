"""linux.netDevices: host interfaces that move into the container (config-linux.md#network-devices).

They keep their MTU, hardware address, and global permanent addresses, and are set up; creche never
moves one back: the kernel does with physical ones when the namespace goes.
"""

from __future__ import annotations

import errno
import os

import runtime.linux.namespaces as ns
from runtime.errors import KernelError
from runtime.linux.rtnetlink import Rtnetlink


def move_all(pid: int, devices: list[tuple[str, str]]) -> None:
    """Move (host name, name inside) into the network namespace of a process. KernelError."""
    outside = Rtnetlink()
    try:
        namespace = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            inside = _socket_in(namespace)
            try:
                for host, name in devices:
                    _move(outside, inside, namespace, host, name)
            finally:
                inside.close()
        finally:
            os.close(namespace)
    finally:
        outside.close()


def _move(outside: Rtnetlink, inside: Rtnetlink, namespace: int, host: str, name: str) -> None:
    step = "find"
    try:
        index = outside.link_index(host)
        addresses = outside.addresses(index)
        step = f"move to the container as {name}"
        # The kernel keeps the index unless the namespace has one like it already, so it is looked
        # up by name; one that the kernel numbers is not known beforehand.
        numbered = "%" in name
        known = f"creche{index}" if numbered else name
        if _exists(inside, known):
            # The kernel would move it first, and only then fail to rename it.
            raise OSError(errno.EEXIST, "file exists")
        outside.move_link(index, known, namespace)
        step = f"set up {name}, once"
        new = inside.link_index(known)
        if numbered:
            inside.rename(new, name)
        for address in addresses:
            inside.add_address(new, address)
        inside.set_up(new)
    except OSError as error:
        raise KernelError(step, host, error.errno or 0, f"linux.netDevices.{host}") from None


def _exists(inside: Rtnetlink, name: str) -> bool:
    try:
        inside.link_index(name)
    except OSError as error:
        if error.errno == errno.ENODEV:
            return False
        raise
    return True


def _socket_in(namespace: int) -> Rtnetlink:
    """A socket of another network namespace; this process is back in its own when it returns."""
    own = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        ns.setns(namespace, ns.CLONE_NEWNET)
        try:
            return Rtnetlink()
        finally:
            ns.setns(own, ns.CLONE_NEWNET)
    finally:
        os.close(own)
