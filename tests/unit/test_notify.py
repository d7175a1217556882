"""What a container may say to the service manager outside."""

from __future__ import annotations

import pytest

from runtime.notify import believed, pass_in
from runtime.spec.types import Spec


@pytest.mark.parametrize(
    ("message", "lines"),
    [
        (b"READY=1", ["READY=1"]),
        (b"READY=1\nSTATUS=all is well\n", ["READY=1", "STATUS=all is well"]),
        (b"RELOADING=1\nMONOTONIC_USEC=123", ["RELOADING=1", "MONOTONIC_USEC=123"]),
        (b"STOPPING=1", ["STOPPING=1"]),
        (b"WATCHDOG=1\nEXTEND_TIMEOUT_USEC=5000", ["WATCHDOG=1", "EXTEND_TIMEOUT_USEC=5000"]),
        (b"ERRNO=2", ["ERRNO=2"]),
        (b"MAINPID=1\nREADY=1", ["READY=1"]),
        (b"FDSTORE=1\nFDNAME=x\nFDSTOREREMOVE=1", []),
        (b"BARRIER=1", []),
        (b"NOTIFYACCESS=all", []),
        (b"WATCHDOG_USEC=1\nWATCHDOG=trigger", []),
        (b"READY=2\nREADY=\nXREADY=1\nREADY", []),
        (b"ERRNO=x\nERRNO=\xd9\xa3", []),
        (b"STATUS=\x1b[31m", []),
        (b"STATUS=a\rMAINPID=1", []),
        (b"\xff\xfe\0", []),
        (b"", []),
    ],
)
def test_only_the_services_own_progress_is_believed(message: bytes, lines: list[str]) -> None:
    assert believed(message) == lines


def test_mount_and_variable_come_last() -> None:
    spec: Spec = {
        "ociVersion": "1.0.2",
        "root": {"path": "rootfs"},
        "mounts": [{"destination": "/run", "type": "tmpfs"}],
        "process": {
            "args": ["x"],
            "cwd": "/",
            "user": {"uid": 0, "gid": 0},
            "env": ["NOTIFY_SOCKET=/elsewhere"],
        },
        "linux": {"namespaces": [{"type": "mount"}]},
    }

    assert pass_in(spec, "/state/id")

    mount = spec["mounts"][-1]
    assert (mount["source"], mount["destination"]) == ("/state/id/notify", "/run/notify")
    assert "ro" in mount["options"]
    assert spec["process"]["env"][-1] == "NOTIFY_SOCKET=/run/notify/notify.sock"


def test_a_container_without_mounts_of_its_own_gets_none() -> None:
    spec: Spec = {"ociVersion": "1.0.2", "root": {"path": "rootfs"}, "linux": {"namespaces": []}}

    assert not pass_in(spec, "/state/id")
    assert "mounts" not in spec
