"""linux.netDevices: an interface of the host that moves into the container."""

from __future__ import annotations

import contextlib
import itertools
import subprocess
from collections.abc import Callable, Iterator

import pytest

from tests.support.bundle import Bundle
from tests.support.inside import ask, message, namespace
from tests.support.network import ip
from tests.support.runtimes import Runtime

pytestmark = pytest.mark.root

Bundles = Callable[..., Bundle]

_numbers = itertools.count(1)


@pytest.fixture
def pair() -> Iterator[tuple[str, str]]:
    """A veth pair of the host; the first end is to move, and takes the other with it at the end."""
    number = next(_numbers)
    first, second = f"crtd{number}", f"crtp{number}"
    ip("link", "add", "name", first, "type", "veth", "peer", "name", second)
    ip("link", "set", first, "mtu", "1400", "address", "02:00:00:00:00:07")
    ip("addr", "add", "10.77.0.5/24", "dev", first)
    ip("addr", "add", "fd77::5/64", "dev", first, "nodad")
    yield first, second
    with contextlib.suppress(AssertionError):  # gone with the container's namespace
        ip("link", "del", second)


def test_it_keeps_its_addresses_and_gets_a_name(
    creche: Runtime, bundle: Bundles, container_id: str, pair: tuple[str, str]
) -> None:
    """Addresses of global scope, MTU and hardware address stay; it is up. runc since 1.4."""
    first, _ = pair
    made = bundle({"linux": {"netDevices": {first: {"name": "moved"}}}})
    inside = ask(creche, made, container_id, l="ip -o link show moved", a="ip -o addr show moved")

    assert "mtu 1400" in inside["l"]
    assert "02:00:00:00:00:07" in inside["l"]
    assert "UP" in inside["l"].partition(">")[0]
    assert "10.77.0.5/24" in inside["a"]
    assert "fd77::5/64" in inside["a"]


@pytest.mark.parametrize("name", [None, "net%d"])
def test_its_own_name_or_one_the_kernel_numbers(
    creche: Runtime, bundle: Bundles, container_id: str, pair: tuple[str, str], name: str | None
) -> None:
    first, _ = pair
    made = bundle({"linux": {"netDevices": {first: {} if name is None else {"name": name}}}})
    inside = ask(creche, made, container_id, a="ip -o -4 addr")

    expected = first if name is None else "net0"
    assert f" {expected} " in inside["a"]
    assert "10.77.0.5/24" in inside["a"]


def test_a_name_that_is_taken_is_an_error(
    creche: Runtime, bundle: Bundles, container_id: str, pair: tuple[str, str]
) -> None:
    made = bundle({"linux": {"netDevices": {pair[0]: {"name": "lo"}}}})
    result = creche.run(["run", "-b", made, container_id]).failed(1)

    assert f"linux.netDevices.{pair[0]}" in message(result)
    assert "file exists" in message(result)
    assert not creche.exists(container_id)
    assert "10.77.0.5/24" in ip("-o", "addr", "show", pair[0])  # still the host's, as it was


def test_an_interface_that_is_not_there_is_named(
    creche: Runtime, bundle: Bundles, container_id: str
) -> None:
    made = bundle({"linux": {"netDevices": {"crtnone": {}}}})
    result = creche.run(["run", "-b", made, container_id]).failed(1)

    assert "linux.netDevices.crtnone" in message(result)
    assert "no such device" in message(result)
    assert not creche.exists(container_id)


def test_into_a_namespace_that_is_joined_where_it_stays(
    creche: Runtime, bundle: Bundles, container_id: str, pair: tuple[str, str]
) -> None:
    """With another interface there that has its number: the kernel gives it a new one."""
    first, _ = pair
    index = int(ip("-o", "link", "show", first).partition(":")[0])
    ns = f"crt-nd{index}"
    ip("netns", "add", ns)
    try:
        ip("-n", ns, "link", "add", "name", "same", "index", str(index), "type", "dummy")
    except AssertionError:
        # No dummy interfaces in this kernel: a bridge does as well.
        ip("-n", ns, "link", "add", "name", "same", "index", str(index), "type", "bridge")
    try:
        listing = [namespace("mount"), namespace("pid"), namespace("uts")]
        listing += [namespace("ipc"), namespace("network", f"/run/netns/{ns}")]
        linux = {"namespaces": listing, "netDevices": {first: {"name": "in%d"}}}
        inside = ask(creche, bundle({"linux": linux}), container_id, a="ip -o -4 addr")

        assert " in0 " in inside["a"]
        assert "10.77.0.5/24" in inside["a"]
        after = subprocess.run(
            ["ip", "-n", ns, "-o", "link", "show", "in0"], capture_output=True, text=True
        )
        assert after.returncode == 0, after.stderr
    finally:
        ip("netns", "del", ns)
