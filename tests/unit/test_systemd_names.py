"""Units for containers, and the annotations that may set their properties."""

from __future__ import annotations

from typing import Any

import pytest

from runtime.errors import ConfigError
from runtime.systemd.annotations import properties
from runtime.systemd.bus import _path
from runtime.systemd.names import slice_path, unit_of


@pytest.mark.parametrize(
    ("path", "unit", "cgroup"),
    [
        (None, "creche-box.scope", "/system.slice/creche-box.scope"),
        ("", "creche-box.scope", "/system.slice/creche-box.scope"),
        ("machine.slice:libpod:4f", "libpod-4f.scope", "/machine.slice/libpod-4f.scope"),
        (":docker:4f", "docker-4f.scope", "/system.slice/docker-4f.scope"),
        ("a-b.slice::x", "x.scope", "/a.slice/a-b.slice/x.scope"),
        ("-.slice:p:x", "p-x.scope", "/p-x.scope"),
        (
            "kubepods-burstable-pod1_2.slice:cri-containerd:x",
            "cri-containerd-x.scope",
            "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1_2.slice"
            "/cri-containerd-x.scope",
        ),
    ],
)
def test_units(path: str | None, unit: str, cgroup: str) -> None:
    """As runc reads `slice:prefix:name`."""
    found = unit_of(path, "box", user=False)

    assert (found.name, found.cgroup()) == (unit, cgroup)


def test_a_users_containers_are_in_the_users_slice() -> None:
    assert unit_of(None, "box", user=True).cgroup() == "/user.slice/creche-box.scope"


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/a/b", 'expected cgroupsPath to be of format "slice:prefix:name"'),
        ("a:b", "format"),
        ("a:b:c:d", "format"),
        ("system.slice:p:", "the name of the unit is empty"),
        ("system.slice:p:x.slice", "can hold no process"),
        ("system.slice:p:x/y", "no name that systemd accepts"),
        ("system.slice:p:../x", "no name that systemd accepts"),
        ("system.slice:p:x\n", "no name that systemd accepts"),
        ("system.slice:p:" + "x" * 255, "no name that systemd accepts"),
        ("system:p:x", "invalid slice name 'system'"),
        (".slice:p:x", "invalid slice name"),
        ("a--b.slice:p:x", "invalid slice name"),
        ("-a.slice:p:x", "invalid slice name"),
        ("a/b.slice:p:x", "invalid slice name"),
        ("/..slice:p:x", "invalid slice name"),
    ],
)
def test_refused(path: str, text: str) -> None:
    with pytest.raises(ConfigError, match=r"linux\.cgroupsPath: ") as caught:
        unit_of(path, "box", user=False)
    assert text in str(caught.value)


def test_the_root_slice_has_no_directory() -> None:
    assert slice_path("-.slice") == ""
    assert slice_path("a-b-c.slice") == "/a.slice/a-b.slice/a-b-c.slice"


def annotated(name: str, text: str) -> tuple[list[Any], list[str]]:
    warnings: list[str] = []
    found = properties({f"org.systemd.property.{name}": text, "other": "x"}, warnings.append)
    return found, warnings


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("KillSignal", "37", ("KillSignal", ("i", 37))),
        ("KillSignal", "int32 37", ("KillSignal", ("i", 37))),
        ("TimeoutStopUSec", "uint64 10000000", ("TimeoutStopUSec", ("t", 10_000_000))),
        ("TimeoutStopSec", "10", ("TimeoutStopUSec", ("t", 10_000_000))),
        ("CollectMode", "'inactive-or-failed'", ("CollectMode", ("s", "inactive-or-failed"))),
        ("Description", '"a b"', ("Description", ("s", "a b"))),
        ("SendSIGHUP", "true", ("SendSIGHUP", ("b", True))),
    ],
)
def test_annotations_of_the_list(name: str, text: str, expected: object) -> None:
    assert annotated(name, text) == ([expected], [])


@pytest.mark.parametrize(
    "name", ["ExecStart", "ExecStopPost", "Wants", "OnFailure", "MemoryMax", "DevicePolicy", ""]
)
def test_others_are_passed_over_with_a_warning(name: str) -> None:
    """CVE-2024-3154: a property can start a program as root outside of every container."""
    found, warnings = annotated(name, "'x'")

    assert found == []
    assert len(warnings) == 1
    assert "not on the list" in warnings[0]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("KillSignal", "TERM"),
        ("KillSignal", "9999999999"),
        ("TimeoutStopUSec", "-1"),
        ("TimeoutStopUSec", "1.5"),
        ("CollectMode", "inactive"),
        ("Description", "'a\\n'"),
        ("Description", "'"),
        ("SendSIGHUP", "1"),
    ],
)
def test_values_of_another_type_are_errors(name: str, text: str) -> None:
    with pytest.raises(ConfigError, match=r"org\.systemd\.property"):
        annotated(name, text)


@pytest.mark.parametrize(
    ("address", "path"),
    [
        ("", "/default"),
        ("unix:path=/run/user/1000/bus", "/run/user/1000/bus"),
        ("unix:path=/x,guid=1", "/x"),
        ("tcp:host=a;unix:path=/y", "/y"),
        ("unix:abstract=/tmp/z,guid=1", "\0/tmp/z"),
        ("nonsense", "/default"),
        ("unix:path=relative", "/default"),
    ],
)
def test_addresses_of_a_bus(address: str, path: str) -> None:
    assert _path(address, "/default") == path
