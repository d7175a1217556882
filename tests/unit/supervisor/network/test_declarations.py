"""[networks.NAME] and [network]: what is understood, and what is refused."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Interface, ip_address
from pathlib import Path

import pytest

from supervisor.network.model import Attachment, Mode, Network, Protocol, Publish
from supervisor.settings import parse, parse_networks, read_settings
from supervisor.workload.errors import WorkloadError
from supervisor.workload.parse import parse_settings


def attached(text: str) -> tuple[Attachment, ...]:
    """What a workload.toml says of networks."""
    return parse_settings(text.encode(), "w.toml").network


def refused(text: str) -> str:
    """Why a workload.toml is."""
    with pytest.raises(WorkloadError) as caught:
        attached(text)
    return str(caught.value)


def declared(text: str) -> dict[str, Network]:
    """The networks of a creched.toml."""
    return dict(parse(text.encode(), "c.toml").networks)


def test_two_lines_are_a_network() -> None:
    found = declared('[networks.runc]\nbridge = "runc0"\nsubnet = "192.168.10.0/24"\n')
    assert found == {
        "runc": Network(
            "runc",
            "runc0",
            IPv4Network("192.168.10.0/24"),
            gateway=IPv4Address("192.168.10.1"),
        )
    }
    assert found["runc"].gateways == (IPv4Interface("192.168.10.1/24"),)


def test_both_families() -> None:
    text = '[networks.a]\nsubnet = "10.0.0.0/24"\nsubnet6 = "fd00::/64"\ngateway6 = "fd00::9"\n'
    network = declared(text)["a"]
    assert network.bridge == "cr-a"
    assert network.gateways == (IPv4Interface("10.0.0.1/24"), IPv6Interface("fd00::9/64"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[networks.a]", "c.toml:1: networks.a.subnet: expected subnet or subnet6"),
        ('[networks.a]\nsubnet = "10.0.0.1/24"', "c.toml:2: networks.a.subnet: expected an IPv4"),
        ('[networks.a]\nsubnet = "169.254.0.0/16"', "networks.a.subnet: expected an IPv4"),
        ('[networks.a]\nsubnet = "10.0.0.0/24"\ngateway = "10.0.1.1"', "a host in 10.0.0.0/24"),
        ('[networks.a]\nsubnet = "10.0.0.0/24"\ngateway = "10.0.0.255"', "found 10.0.0.255"),
        ('[networks.a]\nsubnet = "10.0.0.0/24"\nbridge = "a b"', "networks.a.bridge: expected a l"),
        ('[networks.a]\nsubnet6 = "fd00::/64"\nmtu = 1000', "c.toml:3: networks.a.mtu: expected"),
        ('[networks.a]\nsubnets = "x"', "did you mean 'subnet'"),
        ('[networks.a-name-too-long]\nsubnet = "10.0.0.0/24"', "networks.a-name-too-long.bridge"),
        ('[networks."a b"]\nsubnet = "10.0.0.0/24"\nbridge = "x"', "expected a name of letters"),
        (
            '[networks.a]\nsubnet = "10.0.0.0/16"\n[networks.b]\nsubnet = "10.0.1.0/24"',
            "c.toml:3: networks.b: 10.0.1.0/24 overlaps with 10.0.0.0/16 of network a",
        ),
        (
            '[networks.a]\nsubnet = "10.0.0.0/24"\nbridge = "x"\n'
            '[networks.b]\nsubnet = "10.0.1.0/24"\nbridge = "x"',
            "networks.b: bridge x is that of network a already",
        ),
        ("networks = 3", "networks: expected a table"),
    ],
)
def test_networks_that_are_refused(text: str, message: str) -> None:
    with pytest.raises(WorkloadError) as caught:
        declared(text)
    assert message in str(caught.value)


def test_files_beside_creched_toml() -> None:
    known = declared('[networks.a]\nsubnet = "10.0.0.0/24"')
    more = ("d/b.toml", b'[networks.b]\nsubnet = "10.0.1.0/24"')
    assert sorted(parse_networks([more], known, "c.toml")) == ["a", "b"]
    again = ("d/c.toml", b'[networks.a]\nsubnet = "10.0.9.0/24"')
    over = ("d/d.toml", b'[networks.d]\nsubnet = "10.0.1.0/25"\nx = 1\n')
    with pytest.raises(WorkloadError) as caught:
        parse_networks([more, again, over], known, "c.toml")
    assert "d/c.toml: networks.a: is in c.toml already" in str(caught.value)
    assert "d/d.toml:3: networks.d.x: unknown key" in str(caught.value)


def test_a_workload_on_a_network() -> None:
    (found,) = attached('[network]\nname = "runc"\naddress = "192.168.10.101"\n')
    assert found.mode is Mode.BRIDGE
    assert (found.name, found.address) == ("runc", IPv4Address("192.168.10.101"))


def test_published_ports() -> None:
    (found,) = attached(
        '[network]\nname = "a"\n'
        'publish = ["8080:80/tcp", "127.0.0.1:53:53/udp", "[::1]:8443:443"]\n'
    )
    assert found.publish == (
        Publish(8080, 80),
        Publish(53, 53, Protocol.UDP, ip_address("127.0.0.1")),
        Publish(8443, 443, Protocol.TCP, ip_address("::1")),
    )
    assert [str(each) for each in found.publish] == [
        "8080:80/tcp",
        "127.0.0.1:53:53/udp",
        "[::1]:8443:443/tcp",
    ]


def test_several_networks() -> None:
    found = attached(
        '[[network]]\nname = "a"\n[[network]]\nname = "b"\ninterface = "eth1"\n'
        '[[network]]\nmode = "macvlan"\nparent = "lan0"\naddress = "10.1.0.5/24"\n'
        'interface = "eth2"\nroutes = ["default via 10.1.0.1", "10.2.0.0/16"]\nrate = "1mbit"\n'
        'sysctls = { "net.ipv4.ip_default_ttl" = 65 }\n'
    )
    assert [each.mode for each in found] == [Mode.BRIDGE, Mode.BRIDGE, Mode.MACVLAN]
    assert [str(route) for route in found[2].routes] == ["default via 10.1.0.1", "10.2.0.0/16"]
    assert found[2].rate == 1_000_000
    assert found[2].sysctls == (("net.ipv4.ip_default_ttl", "65"),)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[network]", 'w.toml:1: network.mode: mode = "bridge" needs name'),
        ('[network]\nname = "a"\nparent = "b"', "w.toml:3: network.parent: goes together with"),
        ('[network]\nname = "a"\naddress = "10.0.0.5/24"', "expected an address without a prefix"),
        ('[network]\nname = "a"\naddress = "300.0.0.5"', "w.toml:3: network.address: expected"),
        ('[network]\nname = "a"\naddress6 = "fe80::1"', "w.toml:3: network.address6: expected"),
        ('[network]\nname = "a"\nmac = "01:00:00:00:00:00"', "w.toml:3: network.mac: expected"),
        ('[network]\nname = "a"\ninterface = "a/b"', "w.toml:3: network.interface: expected"),
        ('[network]\nname = "a"\nrate = "fast"', "w.toml:3: network.rate: expected a rate"),
        ('[network]\nname = "a"\npublish = ["80"]', "w.toml:3: network.publish[0]: expected a pub"),
        ('[network]\nname = "a"\npublish = ["0:80"]', "network.publish[0]: expected a pub"),
        ('[network]\nname = "a"\npublish = ["0.0.0.0:1:80"]', "or none for all of them"),
        ('[network]\nname = "a"\npublish = ["1:1", "[::1]:1:2"]', "is in the way of 1:1/tcp"),
        ('[network]\nname = "a"\nsysctls = { "kernel.x" = 1 }', "network.sysctls.kernel.x: expect"),
        ('[network]\nname = "a"\nroutes = ["default"]', "w.toml:3: network.routes[0]: expected"),
        ('[network]\nmode = "macvlan"\nparent = "a"', "needs address or address6"),
        ('[network]\nmode = "macvlan"\nparent = "a"\naddress = "10.0.0.5"', "with its prefix"),
        ('[network]\nmode = "namespace"', "needs either workload or path"),
        ('[network]\nmode = "cni"', "needs conflist"),
        (
            '[[network]]\nname = "a"\n[[network]]\nname = "b"',
            "w.toml:3: network[1].interface: eth0",
        ),
        (
            '[[network]]\nname = "a"\n[[network]]\nname = "a"\ninterface = "e"',
            "w.toml:4: network[1].name: it is on network a already",
        ),
        ('[[network]]\nname = "a"\n[[network]]\nmode = "host"', "cannot be one of several"),
        (
            '[container]\nargs = ["a"]\nnetwork = "none"\n[network]\nname = "a"',
            "w.toml:3: container.network: cannot go together with [network]",
        ),
        ("network = 3", "w.toml:1: network: expected an array of tables, found 3"),
        ("network = [3]", "network[0]: expected a table, found 3"),
    ],
)
def test_workloads_that_are_refused(text: str, message: str) -> None:
    assert message in refused(text)


def test_networks_d_is_read_with_creched_toml(tmp_path: Path) -> None:
    more = tmp_path / "networks.d"
    for path, text in (
        (tmp_path / "creched.toml", '[networks.a]\nsubnet = "10.0.0.0/24"\n'),
        (more / "b.toml", '[networks.b]\nsubnet = "10.0.1.0/24"\n'),
        (more / "notes.txt", "no TOML"),
    ):
        path.parent.mkdir(mode=0o755, exist_ok=True)
        path.write_text(text)
        path.chmod(0o644)
    file = str(tmp_path / "creched.toml")
    assert sorted(read_settings(file).networks) == ["a", "b"]
    (more / "b.toml").chmod(0o666)
    with pytest.raises(WorkloadError, match=r"networks.d/b.toml: may be written by others"):
        read_settings(file)
    (more / "b.toml").unlink()
    (more / "b.toml").symlink_to("/etc/passwd")
    with pytest.raises(WorkloadError, match=r"networks.d/b.toml: is a symbolic link"):
        read_settings(file)
