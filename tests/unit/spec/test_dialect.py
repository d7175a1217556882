"""Documents of runtime-spec 1.0.0-rc1 are read, with one warning."""

import json
from typing import Any

import pytest

from runtime.errors import ConfigError
from runtime.spec import parse, parse_process

OLD: dict[str, Any] = {
    "ociVersion": "1.0.0-rc1",
    "platform": {"os": "linux", "arch": "amd64"},
    "process": {
        "terminal": True,
        "user": {},
        "args": ["sh"],
        "env": ["PATH=/bin", "TERM=xterm"],
        "cwd": "/",
        "capabilities": ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"],
        "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}],
        "noNewPrivileges": True,
    },
    "root": {"path": "rootfs", "readonly": True},
    "hostname": "runc",
    "mounts": [
        {
            "destination": "/dev",
            "type": "tmpfs",
            "source": "tmpfs",
            "options": ["nosuid", "strictatime", "mode=755", "size=65536k"],
        },
        {"destination": "/data", "type": "bind", "source": "/srv", "options": ["rbind", "rw"]},
    ],
    "hooks": {
        "prestart": [{"path": "/bin/fix-mounts"}],
        "poststart": [{"path": "/bin/notify", "timeout": 5}],
        "poststop": [{"path": "/bin/cleanup.sh", "args": ["cleanup.sh", "-f"]}],
    },
    "linux": {
        "resources": {
            "devices": [{"allow": False, "access": "rwm"}],
            "oomScoreAdj": 10,
            "disableOOMKiller": True,
            "blockIO": {"blkioWeight": 100},
        },
        "namespaces": [{"type": "uts"}, {"type": "mount"}],
        "seccomp": {
            "defaultAction": "SCMP_ACT_ALLOW",
            "architectures": None,
            "syscalls": [{"name": "reboot", "action": "SCMP_ACT_ERRNO"}],
        },
    },
}


def test_whole_document() -> None:
    warnings: list[str] = []

    spec = parse(json.dumps(OLD).encode(), warnings.append)

    caps = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]
    assert spec["process"]["capabilities"] == {
        "bounding": caps,
        "effective": caps,
        "permitted": caps,
    }
    assert spec["process"]["oomScoreAdj"] == 10
    assert spec["hooks"] == OLD["hooks"]
    assert spec["mounts"] == OLD["mounts"]
    linux = spec["linux"]
    assert linux["resources"]["memory"] == {"disableOOMKiller": True}
    assert linux["resources"]["blockIO"] == {"weight": 100}
    assert linux["seccomp"]["syscalls"] == [{"names": ["reboot"], "action": "SCMP_ACT_ERRNO"}]
    assert "platform" not in spec
    assert warnings == [
        "written for runtime-spec 1.0.0-rc1; in 1.0.0 and later platform is gone (delete it); "
        'process.capabilities is {"bounding": [...], "effective": [...], "permitted": [...]}; '
        "linux.resources.oomScoreAdj is process.oomScoreAdj; "
        "linux.resources.disableOOMKiller is linux.resources.memory.disableOOMKiller; "
        "linux.resources.blockIO has keys without blkio (weight); "
        "linux.seccomp.syscalls[].name is names, a list"
    ]


def test_modern_form_wins() -> None:
    """Where a document has both spellings, the one that is still valid counts."""
    config = json.loads(json.dumps(OLD))
    config["process"]["oomScoreAdj"] = -5
    config["linux"]["resources"]["memory"] = {"disableOOMKiller": False}
    config["linux"]["resources"]["blockIO"]["weight"] = 7

    spec = parse(json.dumps(config).encode())

    assert spec["process"]["oomScoreAdj"] == -5
    assert spec["linux"]["resources"]["memory"] == {"disableOOMKiller": False}
    assert spec["linux"]["resources"]["blockIO"] == {"weight": 7}


def test_process_alone() -> None:
    warnings: list[str] = []

    process = parse_process(json.dumps(OLD["process"]).encode(), warnings.append)

    assert process["capabilities"].keys() == {"bounding", "effective", "permitted"}
    assert len(warnings) == 1


def test_errors_name_the_modern_path() -> None:
    config = json.loads(json.dumps(OLD))
    config["process"]["capabilities"] = [1]

    with pytest.raises(ConfigError, match=r"^process\.capabilities\.bounding\[0\]: expected a st"):
        parse(json.dumps(config).encode())


def test_modern_documents_get_no_warning() -> None:
    warnings: list[str] = []
    config = {"ociVersion": "1.0.0-rc1", "root": {"path": "rootfs"}, "platform": None}

    parse(json.dumps(config).encode(), warnings.append)

    assert warnings == []
