"""Takes the steps of a plan: all of them or none. To be called in a thread of its own.

What is there already and is ours stays; what is there and is not ours is an error, and is not
touched. The same call makes a network, finishes a half-made one, and mends one.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from functools import partial
from ipaddress import ip_interface

from supervisor.network import namespaces
from supervisor.network import plan as steps
from supervisor.network.errors import NetworkError
from supervisor.network.links import Link, Links
from supervisor.network.naming import Names

_HINTS = {
    errno.EOPNOTSUPP: "the kernel cannot do that; is its module there?",
    errno.ENETUNREACH: "the gateway is on none of its subnets",
    errno.EPERM: "creched needs CAP_NET_ADMIN",
}


def establish(names: Names, setup: steps.Setup) -> None:
    """Make what `setup` says, in the host's namespace (this thread's) and the workload's.

    Raises NetworkError with the step that failed; then what was made by then is gone again.
    """
    if not setup.netns:
        return
    with ExitStack() as stack:
        undo: list[Callable[[], object]] = []
        worker = _Worker(names, stack.enter_context(Links()), undo)
        step: object = f"make network namespace {setup.netns}"
        try:
            for step in setup.steps:
                if isinstance(step, steps.SHARED):
                    worker.take(step)
            step = f"enter network namespace {setup.netns}"
            worker.fresh = not namespaces.is_there(setup.netns)
            if worker.fresh:
                undo.append(lambda: namespaces.remove(setup.netns))
                namespaces.make(setup.netns)
            else:
                namespaces.enter(setup.netns)
            worker.inside = stack.enter_context(Links())
            worker.namespace = os.open(setup.netns, os.O_RDONLY | os.O_CLOEXEC)
            stack.callback(os.close, worker.namespace)
            step = "switch lo on"
            worker.inside.change(1, state="up")  # LOOPBACK_IFINDEX, net/flow.h
            for step in setup.steps:
                if not isinstance(step, steps.SHARED):
                    worker.take(step)
        except BaseException as error:
            for each in reversed(undo):
                _attempt(each)
            if isinstance(error, (NetworkError, OSError)):
                raise _failed(step, error) from None
            raise


def adjust(setup: steps.Setup) -> None:
    """Take the steps that may change while a workload runs. Raises NetworkError."""
    with Links() as host:
        namespaces.enter(setup.netns)
        with Links() as inside:
            for step in setup.steps:
                try:
                    if isinstance(step, steps.Limit):
                        where = host if step.host else inside
                        where.limit(_there(where, step.link).index, step.rate)
                    elif isinstance(step, steps.Isolate):
                        host.plug(_there(host, step.link).index, step.isolated)
                except (NetworkError, OSError) as error:
                    raise _failed(step, error) from None


def take_down(
    names: Names, links: Iterable[str], netns: Iterable[str], bridges: Iterable[tuple[str, str]]
) -> None:
    """Remove links of the host by name, namespaces by path, and bridges (name, alias).

    Fine if they are gone; a bridge that is not ours stays. Raises NetworkError with what is left,
    once all of it was tried.
    """
    left = []
    with Links() as host:
        # First, since they go with the namespace some time after it has gone.
        found = [
            link.index
            for link in map(host.find, links)
            if link is not None and (not link.alias or link.alias.startswith(names.prefix))
        ]
        left += _attempt(partial(host.delete, *found))
        for path in netns:
            left += _attempt(partial(namespaces.remove, path))
        for name, alias in bridges:
            left += _attempt(partial(_delete, host, name, alias))
    if left:
        raise NetworkError(f"remove what is left of a network: {'; '.join(left)}")


def strays(names: Names, links: Iterable[str], kept: Iterable[str]) -> list[str]:
    """Remove what is ours and nobody's: links and namespaces but these. Gives what it was.

    What carries another creched's mark, or none, stays.
    """
    links, kept = set(links), set(kept)
    gone = []
    with Links() as host:
        for link in host.all():
            half_made = not link.alias and names.half_made(link.name)
            ours = link.alias.startswith(names.prefix) or half_made
            if ours and link.name not in links:
                host.delete(link.index)
                gone.append(f"link {link.name}")
    for name in namespaces.names(names.namespaces):
        if name not in kept:
            namespaces.remove(names.namespace(name))
            gone.append(f"namespace {name}")
    return gone


def seen() -> dict[str, Link]:
    """The host's links as they are, by name."""
    with Links() as host:
        return {link.name: link for link in host.all()}


def addresses() -> dict[int, set[str]]:
    """The host's addresses, by index of the link."""
    found: dict[int, set[str]] = {}
    with Links() as host:
        for index, address in host.addresses():
            found.setdefault(index, set()).add(address)
    return found


class _Worker:
    """The two namespaces, and how each step is taken in them."""

    inside: Links
    namespace: int
    fresh: bool

    def __init__(self, names: Names, host: Links, undo: list[Callable[[], object]]) -> None:
        self._names = names
        self._host = host
        self._undo = undo

    def take(self, step: steps.Step) -> None:
        match step:
            case steps.Bridge():
                self._bridge(step)
            case steps.Veth():
                self._veth(step)
            case steps.Isolate():
                self._host.plug(_there(self._host, step.link).index, step.isolated)
            case steps.Macvlan():
                self._macvlan(step)
            case steps.SetSysctl():
                _sysctl(step.name.replace(".", "/"), step.value)
            case steps.AddAddress():
                self.inside.add_address(_there(self.inside, step.interface).index, step.address)
            case steps.SetUp():
                self.inside.change(_there(self.inside, step.interface).index, state="up")
            case steps.AddRoute():
                index = _there(self.inside, step.interface).index
                self.inside.add_route(index, step.to, step.via)
            case steps.Limit():
                if step.rate or not self.fresh:
                    where = self._host if step.host else self.inside
                    where.limit(_there(where, step.link).index, step.rate)

    def _bridge(self, step: steps.Bridge) -> None:
        host = self._host
        found = host.find(step.name)
        if found is not None and found.alias != step.alias:
            raise NetworkError(
                f"a link of that name is there ({_describe(found)}), and this creched has not made "
                "it; remove it, or choose another name"
            )
        if found is None:
            self._in_use(step)
            # Until it carries its mark it has a name that nobody else would choose.
            unfinished = self._names.unfinished(step.name)
            _delete(host, unfinished, "")
            self._undo.append(lambda: _delete(host, unfinished, ""))
            self._undo.append(lambda: _delete(host, step.name, step.alias))
            host.add_bridge(unfinished, step.mac, step.mtu)
            index = _there(host, unfinished).index
            host.mark(index, step.alias, v6=any(":" in each for each in step.addresses))
            host.change(index, ifname=step.name)
        else:
            index = found.index
        has = set() if found is None else {a for _, a in host.addresses(index)}
        for address in has - set(step.addresses):
            host.delete_address(index, address)
        for address in step.addresses:
            if address not in has:
                host.add_address(index, address)
        _deaf(step.name)
        # Always: a bridge whose size was never set takes on that of its smallest port.
        if found is None or found.mtu != step.mtu or not found.up:
            host.change(index, mtu=step.mtu, state="up")

    def _in_use(self, step: steps.Bridge) -> None:
        """Raise NetworkError if something else on the host has addresses of its subnets."""
        own = [ip_interface(address).network for address in step.addresses]
        for index, address in self._host.addresses():
            other = ip_interface(address)
            if any(other.version == net.version and other.ip in net for net in own):
                name = next((link.name for link in self._host.all() if link.index == index), "?")
                raise NetworkError(
                    f"{other} is an address of {name} already; choose another subnet"
                )

    def _veth(self, step: steps.Veth) -> None:
        host = self._host
        found = host.find(step.link)
        if found is not None and (found.kind != "veth" or found.alias not in ("", step.alias)):
            raise NetworkError(f"a link {step.link} is there that creched has not made")
        inside = None if self.fresh else self.inside.find(step.interface)
        if found is not None and (inside is None or inside.kind != "veth"):
            host.delete(found.index)  # a pair that somebody has taken apart
            found = None
        if found is None:
            self._undo.append(lambda: _delete(host, step.link, ""))
            host.add_veth(step.link, step.mtu, self.namespace, step.interface, step.mac)
            found = _there(host, step.link)
        bridge = _there(host, step.bridge).index
        if found.alias != step.alias:  # which it gets once the other end is complete
            _quiet(step.interface, step.v6)
        if found.alias != step.alias or found.master != bridge:
            host.mark(found.index, step.alias, bridge, v6=False)
        if not found.up or found.mtu != step.mtu:
            host.change(found.index, state="up", mtu=step.mtu)

    def _macvlan(self, step: steps.Macvlan) -> None:
        if not self.fresh and self.inside.find(step.interface) is not None:
            _quiet(step.interface, step.v6)
            return
        parent = self._host.find(step.parent)
        if parent is None:
            raise NetworkError(f"there is no link {step.parent} on the host")
        if not parent.up:
            raise NetworkError(f"{step.parent} is off (ip link set {step.parent} up)")
        if parent.alias.startswith(self._names.prefix):
            raise NetworkError(f"{step.parent} is one of creched's own")
        self._host.add_macvlan(step.interface, parent.index, self.namespace, step.mac, step.mtu)
        _quiet(step.interface, step.v6)


def _quiet(interface: str, v6: bool) -> None:
    """Settings of a new interface in this thread's namespace (ip-sysctl.rst)."""
    # Neighbours may remember who had the address before.
    _sysctl(f"net/ipv4/conf/{interface}/arp_notify", "1")
    if not os.path.isdir(f"/proc/sys/net/ipv6/conf/{interface}"):
        return
    if not v6:
        _sysctl(f"net/ipv6/conf/{interface}/disable_ipv6", "1")
        return
    _sysctl(f"net/ipv6/conf/{interface}/accept_ra", "0")
    _sysctl(f"net/ipv6/conf/{interface}/accept_dad", "0")
    _sysctl(f"net/ipv6/conf/{interface}/ndisc_notify", "1")


def _deaf(bridge: str) -> None:
    """The host takes no routes from what its workloads say to be routers (CVE-2020-13401)."""
    if os.path.isdir(f"/proc/sys/net/ipv6/conf/{bridge}"):
        _sysctl(f"net/ipv6/conf/{bridge}/accept_ra", "0")


def _sysctl(name: str, value: str) -> None:
    fd = os.open(f"/proc/sys/{name}", os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, value.encode())
    finally:
        os.close(fd)


def _there(links: Links, name: str) -> Link:
    found = links.find(name)
    if found is None:
        raise NetworkError(f"there is no link {name} (any more)")
    return found


def _delete(links: Links, name: str, alias: str) -> None:
    """With `alias`, only if it is its own."""
    found = links.find(name)
    if found is not None and alias in ("", found.alias):
        links.delete(found.index)


def _describe(link: Link) -> str:
    kind = link.kind or "a device"
    return f"{kind}, alias {link.alias}" if link.alias else kind


def _attempt(what: Callable[[], object]) -> list[str]:
    try:
        what()
    except (OSError, NetworkError) as error:
        return [str(error)]
    return []


def _failed(step: object, error: NetworkError | OSError) -> NetworkError:
    text = str(error)
    if isinstance(error, OSError):
        hint = _HINTS.get(error.errno or 0)
        text = os.strerror(error.errno or 0) + (f" ({hint})" if hint else "")
    return NetworkError(f"{step}: {text}")
