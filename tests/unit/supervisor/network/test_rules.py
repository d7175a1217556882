"""Declarations to rules of nftables; who may have which port of the host."""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.network import rules
from supervisor.network.errors import NetworkError
from supervisor.network.leases import Leases
from supervisor.network.model import Endpoint, Network
from supervisor.network.naming import Names
from supervisor.network.plan import compile_setup, declared
from supervisor.network.ports import Claim, Ports, claims
from supervisor.settings import parse
from supervisor.workload.errors import WorkloadError
from supervisor.workload.parse import parse_settings

NAMES = Names("/run/creche/.creched")
NETWORKS = (
    '[networks.a]\nsubnet = "10.0.0.0/24"\n[networks.b]\nsubnet6 = "fd00::/64"\n'
    '[networks.m]\nsubnet = "10.1.0.0/24"\nsubnet6 = "fd01::/64"\nmasquerade = true\n'
    '[networks.i]\nsubnet = "10.2.0.0/24"\nisolate = true\n'
)


def networks() -> Mapping[str, Network]:
    """Those that are declared."""
    return parse(NETWORKS.encode(), "c").networks


def endpoints(network: str, *publish: str, workload: str = "web") -> tuple[Endpoint, ...]:
    """Of a workload on a network."""
    listed = ", ".join(f'"{each}"' for each in publish)
    text = f'[network]\nname = "{network}"\npublish = [{listed}]\n'
    attachments = parse_settings(text.encode(), "w").network
    leases = Leases().give(workload, list(declared(attachments, networks())))
    return compile_setup(NAMES, workload, attachments, networks(), leases).endpoints


def lines(found: Sequence[Endpoint]) -> list[str]:
    """Of the table."""
    made = rules.ruleset("creche_x", "creche:x", found, networks())
    return [] if made is None else made.whole().splitlines()


def test_no_table_where_none_is_needed() -> None:
    assert rules.ruleset("t", "c", [], networks()) is None
    assert rules.ruleset("t", "c", endpoints("a"), networks()) is None
    for needs in ("m", "i"):
        assert rules.ruleset("t", "c", endpoints(needs), networks()) is not None
    two = (*endpoints("a"), *endpoints("b"))
    assert rules.ruleset("t", "c", two, networks()) is not None


def test_where_ports_lead() -> None:
    found = lines(
        (
            *endpoints("m", "8080:80", "127.0.0.1:53:5353/udp", "[::1]:8443:443"),
            *endpoints("b", "[fd60::1]:9090:90", "9091:91"),
        )
    )
    elements = [line for line in found if line.startswith("elements")]
    assert elements == [
        "elements = { 127.0.0.1 . udp . 53 : 10.1.0.2 . 5353 }",
        "elements = { fd60::1 . tcp . 9090 : fd00::2 . 90 }",
        "elements = { tcp . 8080 : 10.1.0.2 . 80 }",
        "elements = { tcp . 8080 : fd01::2 . 80, tcp . 9091 : fd00::2 . 91 }",
    ]


def test_networks_are_apart() -> None:
    found = lines((*endpoints("a"), *endpoints("i"), *endpoints("m")))
    between = found[found.index("chain between {") :]
    assert between[2:10] == [
        "ct state established,related accept",
        'iifname "cr-i" oifname "cr-i" drop',
        "ct status dnat accept",
        'iifname "cr-a" oifname "cr-a" accept',
        'iifname "cr-i" oifname "cr-i" accept',
        'iifname "cr-m" oifname "cr-m" accept',
        'iifname { "cr-a", "cr-i", "cr-m" } oifname { "cr-a", "cr-i", "cr-m" } drop',
        'oifname { "cr-m" } drop',
    ]


def test_what_is_forwarded() -> None:
    """Only families that need it; what comes from the loopback is not forwarded."""
    for found, families in (
        (endpoints("a"), set()),
        (endpoints("a", "8080:80"), {4}),
        (endpoints("b", "8080:80"), {6}),
        (endpoints("m", "127.0.0.1:8080:80"), {4, 6}),
        (endpoints("a", "127.0.0.1:8080:80"), set()),
        (endpoints("b", "[::1]:8080:80"), set()),
        (endpoints("a", "10.9.9.9:8080:80"), {4}),
    ):
        assert rules.forwarding(found, networks()) == families
    assert rules.localnet(endpoints("a", "10.9.9.9:1:1")) == set()
    assert rules.localnet(endpoints("a", "127.0.0.9:1:1")) == {"a"}
    assert rules.localnet(endpoints("b", "1:1")) == set()


def test_a_family_that_there_is_not() -> None:
    with pytest.raises(NetworkError, match=r"network.publish\[1\]: \[::1\]:1:2/tcp is of a family"):
        claims(endpoints("a", "5:6", "[::1]:1:2"))


def test_a_port_is_held_for_one(  # on this host, whose ports are the test's own
    unused: tuple[int, int],
) -> None:
    ports = Ports()
    first, second = unused
    mine = claims(endpoints("a", f"127.0.0.1:{first}:80"))
    ports.take("web", mine)
    try:
        with pytest.raises(NetworkError, match=f"web publishes 0.0.0.0:{first}/tcp already"):
            ports.take("other", claims(endpoints("a", f"{first}:80")))
        assert ports.holds("other") == ()
        with pytest.raises(OSError, match="in use"):
            socket.create_server(("127.0.0.1", first))
        wider = claims(endpoints("a", f"{first}:80", f"127.0.0.1:{second}:80"))
        with socket.create_server(("127.0.0.1", second)):
            with pytest.raises(NetworkError, match=f"program of the host uses 127.0.0.1:{second}"):
                ports.take("web", wider)
            assert list(ports.holds("web")) == mine
            with pytest.raises(NetworkError, match="program of the host"):
                ports.keep("web", [*mine, *wider[1:]])
        ports.take("web", wider)
        assert list(ports.holds("web")) == wider
    finally:
        ports.drop("web")
    socket.create_server(("127.0.0.1", first)).close()


@pytest.fixture
def unused() -> tuple[int, int]:
    """Two ports that nobody has at the moment."""
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("", 0)) as other:
        return int(one.getsockname()[1]), int(other.getsockname()[1])


PIECES = st.sampled_from(
    ["", ":", "[", "]", "::1", "127.0.0.1", "0.0.0.0", "80", "0", "65536", "/tcp", "/udp", "/", "%"]
)
HOSTILE = st.sampled_from(
    ['"', " }", "; drop", "\n", "{", "fe80::1%lo", "fd00::1", "8080:80", "\\"],
)


@given(st.lists(PIECES | HOSTILE, max_size=7).map("".join), st.sampled_from("abmi"))
def test_whatever_is_declared(publish: str, network: str) -> None:
    """It is refused in words, or rules of the same shape as ever come of it."""
    escaped = publish.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    try:
        found = endpoints(network, escaped)
        wanted = claims(found)
    except (WorkloadError, NetworkError) as error:
        assert str(error)
        return
    assert wanted
    assert all(isinstance(claim, Claim) and 1 <= claim.port <= 65535 for claim in wanted)
    plain = lines(endpoints(network, "8080:80"))
    keep = [line for line in lines(found) if not line.startswith("elements")]
    assert keep == [line for line in plain if not line.startswith("elements")]
