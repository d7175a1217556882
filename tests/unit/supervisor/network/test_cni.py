"""Lists of CNI plugins and what they print: read strictly, and never a traceback."""

from __future__ import annotations

import json
from collections.abc import Callable
from ipaddress import IPv4Interface, IPv6Interface
from pathlib import Path
from typing import Any

import pytest
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from hooks.result import HookResult
from runtime.errors import CrecheError
from supervisor.network.cni.conflist import Conflist, port_mappings
from supervisor.network.cni.plugin import Place, call
from supervisor.network.cni.records import Plugged, Records
from supervisor.network.cni.result import addresses, read_error, read_result
from supervisor.network.errors import NetworkError
from supervisor.network.model import Protocol, Publish
from supervisor.store.files import Documents

GOOD: dict[str, Any] = {
    "cniVersion": "1.0.0",
    "name": "lan",
    "plugins": [
        {"type": "bridge", "ipam": {"type": "host-local"}},
        {"type": "portmap", "capabilities": {"portMappings": True, "aliases": False}},
    ],
}
PLACE = Place("i-web", "/run/netns/web", "eth0")
RESULT: dict[str, Any] = {
    "cniVersion": "1.0.0",
    "interfaces": [
        {"name": "cni0", "mac": "02:00:00:00:00:01"},
        {"name": "veth1"},
        {"name": "eth0", "mac": "02:00:00:00:00:02", "sandbox": "/run/netns/web"},
    ],
    "ips": [
        {"address": "10.1.0.1/24", "interface": 0},
        {"address": "10.1.0.5/24", "interface": 2, "gateway": "10.1.0.1"},
        {"address": "fd00::5/64", "interface": 2},
    ],
}


def parse(**changes: Any) -> Conflist:
    """A list, changed."""
    return Conflist.parse(json.dumps(GOOD | changes).encode())


def test_what_each_plugin_is_told() -> None:
    """Name and version of the list, what came before, and what it can make use of."""
    found = parse()
    assert Conflist.from_json(found.to_json()) == found
    ports = [Publish(8080, 80), Publish(53, 53, Protocol.UDP)]
    runtime = {"portMappings": port_mappings(ports), "aliases": ["x"]}
    first, second = found.plugins
    assert json.loads(found.request(first, "ADD", None, runtime)) == {
        "name": "lan", "cniVersion": "1.0.0", "type": "bridge", "ipam": {"type": "host-local"},
    }  # fmt: skip
    assert json.loads(found.request(second, "ADD", RESULT, runtime)) == {
        "name": "lan", "cniVersion": "1.0.0", "type": "portmap", "prevResult": RESULT,
        "runtimeConfig": {
            "portMappings": [
                {"hostPort": 8080, "containerPort": 80, "protocol": "tcp"},
                {"hostPort": 53, "containerPort": 53, "protocol": "udp"},
            ]
        },
    }  # fmt: skip
    old = parse(cniVersion="0.3.1")
    assert "prevResult" in json.loads(old.request(second, "ADD", RESULT, {}))
    assert "prevResult" not in json.loads(old.request(second, "DEL", RESULT, {}))
    assert "prevResult" in json.loads(found.request(second, "DEL", RESULT, {}))
    assert (found.can_check, old.can_check, parse(disableCheck=True).can_check) == (
        True, False, False,
    )  # fmt: skip
    assert found.able("portMappings")
    assert not found.able("aliases")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"name": "../x"}, "name: expected"),
        ({"name": None}, "name: expected"),
        ({"cniVersion": "2.0.0"}, "cniVersion: expected one of 0.3.0"),
        ({"cniVersion": []}, "cniVersion: expected one of"),
        ({"plugins": []}, "plugins: expected a list"),
        ({"plugins": "bridge"}, "plugins: expected a list"),
        ({"plugins": [1]}, r"plugins\[0\]: expected an object"),
        ({"plugins": [{"type": "../../bin/sh"}]}, r"plugins\[0\].type: expected a name"),
        ({"plugins": [{"type": "a", "capabilities": []}]}, r"plugins\[0\].capabilities"),
        ({"disableCheck": "yes"}, "disableCheck: expected true or false"),
    ],
)
def test_what_is_no_list(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(NetworkError, match=told):
        parse(**changes)


def printed(text: str | bytes, stderr: bytes = b"", total: int | None = None) -> HookResult:
    """By a plugin."""
    data = text.encode() if isinstance(text, str) else text
    return HookResult(status=1, stdout=data, stderr=stderr, stdout_total=total)


def test_addresses() -> None:
    """Those of its own interface, the first of each family."""
    found = read_result(printed(json.dumps(RESULT)))
    v4, v6 = IPv4Interface("10.1.0.5/24"), IPv6Interface("fd00::5/64")
    assert addresses(found, "eth0") == (v4, v6, "02:00:00:00:00:02")
    assert addresses({"ips": [{"address": "10.1.0.5/24"}]}, "eth0") == (v4, None, None)
    assert addresses({}, "eth0") == addresses({"ips": None}, "eth0") == (None, None, None)


@pytest.mark.parametrize(
    "text",
    ["", "x", "[]", '{"ips": 1}', '{"ips": [{}]}', '{"ips": [{"address": "x"}]}',
     '{"interfaces": [1]}',
     '{"interfaces": [{}], "ips": [{"address": "1.2.3.4/8", "interface": 9}]}'],
)  # fmt: skip
def test_what_is_no_result(text: str) -> None:
    with pytest.raises(NetworkError, match="is no result"):
        read_result(printed(text))


def test_a_result_that_is_too_long() -> None:
    with pytest.raises(NetworkError, match="99999 bytes"):
        read_result(printed(json.dumps(RESULT), total=99999))


def test_errors_are_one_line() -> None:
    said = json.dumps({"code": 7, "msg": "no\nroom", "details": "10.0.0.0/30\x1b[2J is full"})
    assert read_error(printed(said), "exit status 1") == (
        "no\\nroom; 10.0.0.0/30\\x1b[2J is full (code 7)"
    )
    assert read_error(printed("", b"panic: x\ny\n"), "exit status 2").startswith(
        "exit status 2: pa"
    )
    assert read_error(printed("[]"), "exit status 2") == "exit status 2: []"
    assert read_error(None, "timed out") == "timed out"
    assert len(read_error(printed(json.dumps({"msg": "x" * 9999})), "")) <= 4096


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["ips", "interfaces", "address", "interface", "sandbox", "name", "mac",
                         "plugins", "type", "cniVersion", "capabilities", "msg", "details"]),
        inner, max_size=4,
    ),
    max_leaves=12,
)  # fmt: skip


@given(json_values)
def test_arbitrary_documents(value: object) -> None:
    """Read, or refused as they should be."""
    data = json.dumps(value).encode()
    for reader in (Conflist.parse, lambda data: read_result(printed(data))):
        try:
            reader(data)
        except NetworkError:
            pass
    read_error(printed(data), "exit status 1")


@given(st.binary(max_size=50))
def test_arbitrary_bytes(data: bytes) -> None:
    for reader in (Conflist.parse, lambda data: read_result(printed(data))):
        try:
            reader(data)
        except NetworkError:
            pass
    read_error(printed(data), "exit status 1")


def test_records_last_and_damaged_ones_are_set_aside(tmp_path: Path) -> None:
    damaged: list[str] = []
    where = str(tmp_path / "cni")

    def records() -> Records:
        made = Records(Documents(where, False, lambda path, kept, why: damaged.append(path)))
        made.load()
        return made

    first = records()
    eth0 = Plugged("/l", PLACE, parse(), {}, RESULT, True)
    eth1 = Plugged("/l", Place("i-web", "/n", "eth1"), parse(), {"portMappings": []})
    first.keep("web", eth0)
    first.keep("web", eth1)
    second = records()
    assert second.held == {"web": (eth0, eth1)} == first.held
    second.drop("web", eth0)
    assert records().held == {"web": (eth1,)}
    second.drop("web", eth1)
    assert records().held == {}
    first.keep("web", eth0)
    document = json.loads((tmp_path / "cni/web.json").read_text())
    assert "plugged" in str(document)
    (tmp_path / "cni/web.json").write_text("{}")
    assert records().held == {}
    assert damaged == [f"{where}/web.json"]


@pytest.fixture
def plugin(tmp_path: Path) -> Callable[[str], str]:
    """A plugin that is a shell script; gives where it is."""

    def write(script: str) -> str:
        path = tmp_path / "mine"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return str(tmp_path)

    return write


async def test_a_plugin_gets_its_own_environment(plugin: Callable[[str], str]) -> None:
    """And nothing of creched's; what it reads is the request."""
    path = plugin("env | sort | grep -v ^_= ; cat")
    done = await call("ADD", "mine", PLACE, b'{"x": 1}', ("/nowhere", path))
    assert done.stdout.decode().splitlines() == [
        "CNI_COMMAND=ADD", "CNI_CONTAINERID=i-web", "CNI_IFNAME=eth0",
        "CNI_NETNS=/run/netns/web", f"CNI_PATH=/nowhere:{path}",
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "PWD=/", '{"x": 1}',
    ]  # fmt: skip


async def test_a_plugin_that_is_not_there() -> None:
    with pytest.raises(NetworkError, match=r"no such plugin in /nowhere .*supervisor\.cni-path"):
        await call("ADD", "mine", PLACE, b"{}", ("/nowhere",))


async def test_a_plugin_that_hangs(
    plugin: Callable[[str], str], autojump_clock: trio.testing.MockClock
) -> None:
    """It is ended, with what it has started."""
    path = plugin("sleep 1000 & exec sleep 1000")
    with pytest.raises(NetworkError, match="ADD: timed out after 60s"):
        await call("ADD", "mine", PLACE, b"{}", (path,))


async def test_a_plugin_that_cannot_be_executed(plugin: Callable[[str], str]) -> None:
    path = plugin("")
    (Path(path) / "mine").write_text("#!/no/interpreter\n")
    with pytest.raises((NetworkError, CrecheError), match="interpreter"):
        await call("ADD", "mine", PLACE, b"{}", (path,))
