"""Networks as they are shown: the document, the drawing, and names that are not nice."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from supervisor.control.schema import of_type, plain
from supervisor.ctl.net import interfaces, leases, networks
from supervisor.network.drawing import bits, svg, words
from supervisor.network.leases import Leases
from supervisor.network.made import Made
from supervisor.network.naming import Names
from supervisor.network.plan import compile_setup, declared
from supervisor.network.view import Topology, topology
from supervisor.settings import parse
from supervisor.workload.parse import parse_settings

NETWORKS = (
    '[networks.a]\nsubnet = "10.0.0.0/24"\nsubnet6 = "fd00::/64"\nisolate = true\n'
    '[networks.b]\nbridge = "b0"\nsubnet = "10.1.0.0/24"\n'
)
WORKLOADS = {
    "web": '[[network]]\nname = "a"\npublish = ["8080:80/tcp"]\nrate = "10mbit"\n'
    '[[network]]\nname = "b"\ninterface = "eth1"\n',
    "side": '[network]\nmode = "namespace"\nworkload = "web"\n',
    "lan": '[network]\nmode = "macvlan"\nparent = "eth0"\naddress = "10.7.0.7/24"\n',
}


def shown() -> dict[str, Any]:
    """The document of the workloads above, and of a lease that somebody has kept."""
    declared_networks = parse(NETWORKS.encode(), "c").networks
    given_out = Leases()
    made, attached = {}, {}
    for name, text in WORKLOADS.items():
        attached[name] = parse_settings(text.encode(), "w").network
        wanted = list(declared(attached[name], declared_networks))
        found = given_out.give(name, wanted) if wanted else {}
        setup = compile_setup(
            Names("/run/creche/.creched"), name, attached[name], declared_networks, found
        )
        made[name] = Made.of(setup, True)
    old = parse_settings(b'[network]\nname = "b"\naddress = "10.1.0.9"\n', "w").network
    given_out.give("old", list(declared(old, declared_networks)))
    found = plain(topology(declared_networks, made, attached, given_out.held))
    assert set(found) == set(of_type(Topology)["required"])
    return dict(found)


def test_the_tables() -> None:
    found = shown()
    assert networks(found) == [
        ["a", "cr-a", "10.0.0.0/24 fd00::/64", "10.0.0.1 fd00::1", "side web"],
        ["b", "b0", "10.1.0.0/24", "10.1.0.1", "side web"],
    ]
    assert [row[:4] + row[5:] for row in interfaces(found)] == [
        ["lan", "eth0", "macvlan", "10.7.0.7/24", "-", "-"],
        ["web side", "eth0", "a", "10.0.0.2/24 fd00::2/64", "8080:80/tcp", "10mbit"],
        ["web side", "eth1", "b", "10.1.0.2/24", "-", "-"],
    ]
    assert leases(found) == [
        ["old", "b", "10.1.0.9", "fixed, held"],
        ["web", "a", "10.0.0.2 fd00::2", "auto"],
        ["web", "b", "10.1.0.2", "auto"],
    ]


def test_the_drawing() -> None:
    """It is XML, and has everybody in it, and a line for each interface."""
    drawn = ElementTree.fromstring(svg(shown()))
    space = "{http://www.w3.org/2000/svg}"
    said = [each.text for each in drawn.iter(f"{space}text")]
    for text in ("network a", "bridge b0", "macvlan", "web (with side)", "eth1 10.1.0.2/24"):
        assert text in said
    assert "  published 8080:80/tcp" in said
    assert len(list(drawn.iter(f"{space}path"))) == 3
    assert "there are no networks" in svg(plain(Topology()))


@given(st.text(max_size=200))
def test_hostile_names(name: str) -> None:
    """Nothing in a name is markup, or a character that XML or a terminal minds."""
    found = shown()
    for each in found["interfaces"]:
        each["workload"] = each["interface"] = name
        each["publish"] = [name]
    found["networks"][0]["bridge"] = name
    drawn = ElementTree.fromstring(svg(found))
    assert {each.tag.partition("}")[2] for each in drawn.iter()} <= {
        "svg", "title", "rect", "path", "text",
    }  # fmt: skip
    cells = [cell for row in [*interfaces(found), *networks(found)] for cell in row]
    assert all(cell.isprintable() for cell in cells)


def test_words() -> None:
    assert (bits(1_000_000_000), bits(1500), bits(8_000_000)) == ("1gbit", "1500bit", "8mbit")
    assert words(shown()["interfaces"][1]) == (
        "10.0.0.2/24 fd00::2/64, published 8080:80/tcp, at most 10mbit"
    )


def test_an_interface_on_a_network_that_nobody_knows_any_more() -> None:
    """Its table has gone, and so has what creched kept of it."""
    found = shown()
    found["networks"] = [each for each in found["networks"] if each["name"] != "b"]
    drawn = svg(found)
    ElementTree.fromstring(drawn)
    assert "10.1.0" in drawn
