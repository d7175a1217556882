"""Declarations to steps, and never a traceback on the way."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.network.errors import NetworkError
from supervisor.network.joining import join, namespace
from supervisor.network.leases import Leases
from supervisor.network.made import Made
from supervisor.network.naming import Names
from supervisor.network.plan import (
    AddRoute,
    Bridge,
    Isolate,
    Limit,
    Setup,
    compile_setup,
    declared,
)
from supervisor.settings import parse
from supervisor.workload.diff import changes
from supervisor.workload.errors import WorkloadError
from supervisor.workload.model import Workload
from supervisor.workload.parse import parse_settings

NAMES = Names("/run/creche/.creched")
NETWORKS = (
    '[networks.a]\nsubnet = "10.0.0.0/24"\n[networks.b]\nsubnet6 = "fd00::/64"\nmtu = 1400\n'
    '[networks.c]\nsubnet = "10.1.0.0/24"\nsubnet6 = "fd01::/64"\nisolate = true\n'
)


def setup(text: str, name: str = "web") -> Setup:
    """What a workload's [network] comes to."""
    attachments = parse_settings(text.encode(), "w").network
    networks = parse(NETWORKS.encode(), "c").networks
    leases = Leases().give(name, list(declared(attachments, networks)))
    return compile_setup(NAMES, name, attachments, networks, leases)


def test_the_steps_of_a_bridge() -> None:
    found = [str(step) for step in setup('[network]\nname = "a"\nrate = "1mbit"\n').steps]
    link = NAMES.veth("web", "eth0")
    assert found == [
        "make bridge cr-a (networks.a.bridge)",
        f"join eth0 to bridge cr-a by {link} (network.name)",
        f"do not isolate {link} (networks.a.isolate)",
        "give eth0 10.0.0.2/24 (network.address)",
        "switch eth0 on",
        "add the route to 0.0.0.0/0 via 10.0.0.1 (network.routes)",
        "limit eth0 to 1000000 bits per second (network.rate)",
        f"limit {link} to 1000000 bits per second (network.rate)",
    ]
    assert len(link) <= 15


def test_one_default_route_of_each_family() -> None:
    text = "".join(
        f'[[network]]\nname = "{name}"\ninterface = "eth{index}"\n'
        for index, name in enumerate("abc")
    )
    routes = [step for step in setup(text).steps if isinstance(step, AddRoute)]
    assert [(route.interface, route.to) for route in routes] == [
        ("eth0", "0.0.0.0/0"),
        ("eth1", "::/0"),
    ]


def test_an_own_default_route_is_the_only_one() -> None:
    found = setup('[network]\nname = "a"\nroutes = ["default via 10.0.0.9"]\n')
    routes = [step for step in found.steps if isinstance(step, AddRoute)]
    assert [route.via for route in routes] == ["10.0.0.9"]


def test_what_makes_another_namespace_necessary() -> None:
    plain = setup('[network]\nname = "a"\n')
    assert setup('[network]\nname = "a"\nrate = "1mbit"\n').shape == plain.shape
    assert setup('[network]\nname = "a"\npublish = ["80:80"]\n').shape == plain.shape
    for other in (
        'address = "10.0.0.9"',
        "mtu = 1300",
        'interface = "e"',
        'routes = ["10.9.0.0/16"]',
    ):
        assert setup(f'[network]\nname = "a"\n{other}\n').shape != plain.shape


def test_isolation_and_size_go_to_the_port() -> None:
    (port,) = [s for s in setup('[network]\nname = "c"\n').steps if isinstance(s, Isolate)]
    assert port.isolated
    with pytest.raises(NetworkError, match=r"network.mtu: 1500 is more than the 1400 of b"):
        setup('[network]\nname = "b"\nmtu = 1500\n')


def test_a_network_that_there_is_not() -> None:
    with pytest.raises(NetworkError, match=r"network.name: there is no network z .*known: a, b, c"):
        setup('[network]\nname = "z"\n')


def test_what_was_made_can_be_read_again() -> None:
    found = setup('[network]\nname = "c"\npublish = ["[::1]:1:2/udp"]\n')
    made = Made.of(found, True)
    assert Made.from_json(made.to_json()) == made
    assert [type(step) for step in found.steps if isinstance(step, (Bridge, Limit))] == [
        Bridge,
        Limit,
        Limit,
    ]


def test_names_of_two_roots_differ() -> None:
    other = Names("/elsewhere/.creched")
    assert NAMES.prefix != other.prefix
    assert NAMES.veth("w", "eth0") != other.veth("w", "eth0")
    assert not other.half_made(NAMES.veth("w", "eth0"))
    assert int(NAMES.mac("w", "eth0")[:2], 16) & 3 == 2  # of one interface, locally given


def test_the_container_joins() -> None:
    config: dict[str, Any] = {"linux": {"namespaces": [{"type": "network"}, {"type": "pid"}]}}
    attachments = parse_settings(b'[network]\nname = "a"\n', "w").network
    path = namespace(NAMES, "w", attachments)
    assert join(config, path)["linux"]["namespaces"] == [
        {"type": "pid"},
        {"type": "network", "path": "/run/creche/.creched/namespaces/w"},
    ]
    assert join(config, None)["linux"]["namespaces"] == [{"type": "pid"}]
    assert len(config["linux"]["namespaces"]) == 2


def changed(old: str, new: str) -> list[tuple[str, str, str | None, str | None]]:
    """What `plan` says of a change."""
    before, after = (
        Workload("w", "/w", parse_settings(text.encode(), "w"), {}) for text in (old, new)
    )
    return [(c.key, c.effect.value, c.old, c.new) for c in changes(before, after)]


def test_what_a_change_leads_to() -> None:
    a = '[network]\nname = "a"\n'
    assert changed(a, a + 'publish = ["80:80"]\n') == [
        ("network.publish", "apply", "[]", '["80:80/tcp"]')
    ]
    assert changed(a, a + "mtu = 1300\n") == [("network.mtu", "restart", "the network's", "1300")]
    assert changed(a, "") == [("network", "restart", None, None)]
    two = '[[network]]\nname = "a"\n[[network]]\nname = "b"\ninterface = "e"\n'
    assert changed(two, two + 'rate = "1mbit"\n') == [
        ("network[1].rate", "apply", "no limit", "1000000")
    ]


KEYS = (
    "mode", "name", "address", "address6", "mac", "interface", "mtu", "routes", "sysctls",
    "publish", "rate", "parent", "workload", "path", "conflist",
)  # fmt: skip
WORDS = st.one_of(
    st.sampled_from(
        [
            "a", "b", "c", "z", "host", "none", "bridge", "macvlan", "namespace", "cni", "auto",
            "10.0.0.2", "10.0.0.255", "10.0.0.0/24", "fd00::5", "::", "fe80::1%eth0", "eth0",
            "80:80", "[::1]:1:1/udp", "1.2.3.4:1:1", "default via 10.0.0.1", "::/0", "1mbit",
            "02:00:00:00:00:01", "/x", "999999999999bit", "\0", "é", "",
        ]
    ),
    st.text(max_size=12),
)  # fmt: skip
VALUES = st.one_of(
    WORDS, st.integers(), st.booleans(), st.lists(WORDS, max_size=3), st.floats(),
    st.dictionaries(WORDS, WORDS, max_size=2),
)  # fmt: skip


def written(value: object) -> str:
    """As TOML has it."""
    if isinstance(value, str):
        escaped = "".join(c if c.isalnum() and c.isascii() else f"\\U{ord(c):08x}" for c in value)
        return f'"{escaped}"'
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return "[" + ", ".join(map(written, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{written(k)} = {written(v)}" for k, v in value.items()) + "}"
    return str(value)


@given(st.lists(st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=6), max_size=3))
def test_any_declaration_is_steps_or_an_error(tables: list[dict[str, object]]) -> None:
    text = "".join(
        "[[network]]\n" + "".join(f"{key} = {written(value)}\n" for key, value in table.items())
        for table in tables
    )
    try:
        found = setup(text)
    except (WorkloadError, NetworkError) as error:
        assert str(error)
        return
    assert all(str(step) for step in found.steps)
    Made.from_json(Made.of(found, True).to_json())


@given(
    st.dictionaries(
        st.sampled_from(["a", "b", "a b", "x" * 20]),
        st.dictionaries(
            st.sampled_from(["bridge", "subnet", "subnet6", "gateway", "gateway6", "mtu", "dns"]),
            st.one_of(VALUES, st.sampled_from(["10.0.0.0/8", "fd00::/64", "10.1.0.0/31"])),
        ),
        max_size=3,
    )
)
def test_any_networks_are_understood_or_refused(tables: dict[str, dict[str, object]]) -> None:
    text = "".join(
        f"[networks.{written(name)}]\n"
        + "".join(f"{key} = {written(value)}\n" for key, value in table.items())
        for name, table in tables.items()
    )
    try:
        found = parse(text.encode(), "c").networks
    except WorkloadError as error:
        assert str(error)
        return
    assert all(network.gateways for network in found.values())
