"""What is accepted, and what becomes of it."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runtime.errors import ConfigError
from runtime.spec import default_spec, document, names, parse, parse_process, parse_resources
from runtime.spec.ranges import parse_ranges
from runtime.spec.sysctl import sysctl_path
from tests.unit.spec.full import FULL
from tests.unit.spec.malformed import put

SMALL: dict[str, Any] = {"ociVersion": "1.0.0", "root": {"path": "rootfs"}}


def read(
    config: dict[str, Any], *changes: Callable[[dict[str, Any]], None]
) -> tuple[Any, list[str]]:
    """The Spec of a changed copy, and the warnings."""
    config = json.loads(json.dumps(config))
    for change in changes:
        change(config)
    warnings: list[str] = []
    return parse(json.dumps(config).encode(), warnings.append), warnings


def test_every_key_is_kept() -> None:
    spec, warnings = read(FULL)

    assert spec == FULL
    assert warnings == []


def test_every_key_is_tried() -> None:
    """FULL has each key that a table knows, so that the test above means what it says."""

    def known(check: Any) -> dict[str, Any]:
        names = check.__code__.co_freevars
        cells = {n: c.cell_contents for n, c in zip(names, check.__closure__ or (), strict=True)}
        if "fields" in cells:
            return {key: known(field) for key, field in cells["fields"].items()}
        if "item" in cells:
            inner = known(cells["item"])
            return {"*": inner} if "key" in cells else inner
        return {}

    def lacking(table: dict[str, Any], samples: list[Any], path: str) -> list[str]:
        result = []
        flat = [x for s in samples for x in (s if isinstance(s, list) else [s])]
        for key, inner in table.items():
            if key == "*":
                found = [value for sample in flat for value in sample.values()]
            else:
                found = [sample[key] for sample in flat if key in sample]
            result += lacking(inner, found, f"{path}.{key}") if found else [f"{path}.{key}"]
        return result

    assert len(known(document.CONFIG)) == 9
    # FULL's scheduler is a deadline one, which has no priority, and no flag is defined.
    assert lacking(known(document.CONFIG), [FULL], "") == [
        ".process.scheduler.priority",
        ".linux.personality.flags",
    ]


def test_smallest() -> None:
    spec, warnings = read(SMALL)

    assert spec == SMALL
    assert warnings == []


def test_unknown_keys_are_dropped() -> None:
    spec, warnings = read(
        SMALL,
        put("windows", {"layerFolders": []}),
        put("x-extension", [1, 2.5, {"a": None}]),
        put("root.note", "mine"),
        put("linux", {"resources": {"memory": {"limit": 1, "future": 1.5}}}),
    )

    assert spec == {**SMALL, "linux": {"resources": {"memory": {"limit": 1}}}}
    assert warnings == []


def test_null_is_as_if_absent() -> None:
    spec, _ = read(
        SMALL,
        put("process", None),
        put("mounts", None),
        put("linux", {"seccomp": None, "resources": {"pids": {"limit": None}}}),
    )

    assert spec == {**SMALL, "linux": {"resources": {"pids": {}}}}


def test_blank_strings_are_as_if_absent() -> None:
    """Go's encoders write them where nothing was set."""
    spec, _ = read(
        FULL,
        put("hostname", ""),
        put("linux.namespaces.0.path", ""),
        put("linux.cgroupsPath", ""),
        put("linux.mountLabel", ""),
        put("process.apparmorProfile", ""),
        put("linux.resources.cpu.cpus", ""),
    )

    assert "hostname" not in spec
    assert spec["linux"]["namespaces"][0] == {"type": "pid"}
    assert not {"cgroupsPath", "mountLabel"} & spec["linux"].keys()
    assert "apparmorProfile" not in spec["process"]
    assert "cpus" not in spec["linux"]["resources"]["cpu"]


def test_case_of_keys_matters_but_is_told() -> None:
    spec, warnings = read(FULL, put("linux.Seccomp", {}), put("Process", 1))

    assert spec == FULL
    assert sorted(warnings) == [
        "Process: ignored, keys are case-sensitive: did you mean process?",
        "linux.Seccomp: ignored, keys are case-sensitive: did you mean seccomp?",
    ]


def test_unknown_capabilities_are_a_warning() -> None:
    spec, warnings = read(
        FULL,
        put("process.capabilities.bounding", ["CAP_KILL", "CAP_KILL", "CAP_FLY", "kill"]),
        put("process.capabilities.ambient", ["CAP_FLY"]),
    )

    assert spec["process"]["capabilities"]["bounding"] == ["CAP_KILL"]
    assert spec["process"]["capabilities"]["ambient"] == []
    assert warnings == ["process.capabilities: unknown capabilities ignored: CAP_FLY, kill"]


def test_other_warnings() -> None:
    spec, warnings = read(
        FULL,
        put("mounts.0.destination", "proc"),
        put("linux.personality.flags", ["ADDR_NO_RANDOMIZE"]),
    )

    assert spec["linux"]["personality"] == {"domain": "LINUX32"}
    assert warnings == [
        'mounts[0].destination: relative paths are deprecated, taking "proc" from /',
        "linux.personality.flags: ignored, no flag is defined",
    ]


def test_file_mode_is_permission_bits() -> None:
    """Engines in Go and those that copy st_mode put the kind of file into it as well."""
    spec, _ = read(FULL, put("linux.devices.0.fileMode", 0o20666))

    assert spec["linux"]["devices"][0]["fileMode"] == 0o666


@pytest.mark.parametrize(
    "version", ["1.0.0", "1.0.2-dev", "1.0.0-rc1", "1.99.0", "1.1.0+build.5", "1.2.0-rc.1+x-y"]
)
def test_versions(version: str) -> None:
    assert read(SMALL, put("ociVersion", version))[0]["ociVersion"] == version


@pytest.mark.parametrize(
    "version", ["", "1", "1.0", "1.0.0.0", "v1.0.0", "1.0.x", "1.0.0-", "1.0.0+", "1.\u0661.0"]
)
def test_no_versions(version: str) -> None:
    with pytest.raises(ConfigError, match=r"^ociVersion: expected a version such as"):
        read(SMALL, put("ociVersion", version))


def test_process_alone() -> None:
    data = json.dumps(FULL["process"]).encode()

    assert parse_process(data) == FULL["process"]
    with pytest.raises(ConfigError, match=r'^process\.cwd: expected an absolute path, found "x"'):
        parse_process(b'{"args": ["ls"], "cwd": "x"}')


def test_resources_alone_in_any_case() -> None:
    assert parse_resources(b'{"CPU": {"Cpus": "1"}, "memory": {"LIMIT": 5}}') == {
        "cpu": {"cpus": "1"},
        "memory": {"limit": 5},
    }
    with pytest.raises(
        ConfigError, match=r'^resources\.cpu: the key is given twice, once as "CPU"'
    ):
        parse_resources(b'{"CPU": {}, "cpu": {}}')
    with pytest.raises(ConfigError, match=r"^resources\.pids\.limit: expected an integer"):
        parse_resources(b'{"pids": {"Limit": "x"}}')


@pytest.mark.parametrize(
    ("key", "path"),
    [
        ("net.ipv4.ip_forward", "net/ipv4/ip_forward"),
        ("net/ipv4/ip_forward", "net/ipv4/ip_forward"),
        ("net.ipv4.conf.eno2/100.rp_filter", "net/ipv4/conf/eno2.100/rp_filter"),
        ("net/ipv4/conf/eno2.100/rp_filter", "net/ipv4/conf/eno2.100/rp_filter"),
        ("kernel/shm_rmid_forced", "kernel/shm_rmid_forced"),
    ],
)
def test_sysctl_path(key: str, path: str) -> None:
    assert sysctl_path(key) == path


@pytest.mark.parametrize(
    "key",
    [
        "",
        ".",
        "/",
        "net.",
        ".net",
        "net..ipv4",
        "net/./ipv4",
        "net/../kernel",
        "net.ipv4.//.x",
        "/proc/sys/net",
        "net.ip\nv4",
        "net.ip v4",
        "net.\u0440",
    ],
)
def test_no_sysctl_path(key: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        sysctl_path(key)


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        ("kernel.msgmax", "ipc"),
        ("fs.mqueue.msg_max", "ipc"),
        ("kernel.domainname", "uts"),
        ("net.core.somaxconn", "network"),
        ("user.max_user_namespaces", "user"),
    ],
)
def test_sysctl_needs_its_namespace(key: str, kind: str) -> None:
    sysctl = put("linux", {"sysctl": {key: "1"}, "namespaces": [{"type": kind}]})

    assert read(SMALL, sysctl)[0]["linux"]["sysctl"] == {key: "1"}
    with pytest.raises(ConfigError, match=f"not allowed in the host's {kind} namespace"):
        read(SMALL, sysctl, put("linux.namespaces", []))


def test_ranges() -> None:
    assert parse_ranges("0-3,7", 8) == [0, 1, 2, 3, 7]
    assert parse_ranges(" 2 , 1-2,,\n", 8) == [1, 2]
    assert parse_ranges("", 8) == []


@pytest.mark.parametrize(
    "text", ["a", "-1", "1-", "1--2", "3-1", "8", "1 2", "\u0661", "0x1", "+1"]
)
def test_no_ranges(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected numbers|too large|backwards"):
        parse_ranges(text, 8)


def test_capability_numbers() -> None:
    """The table's order is the kernel's numbering."""
    assert names.CAPABILITIES.index("CAP_SYS_ADMIN") == 21
    assert names.CAPABILITIES.index("CAP_SETFCAP") == 31
    assert names.CAPABILITIES.index("CAP_CHECKPOINT_RESTORE") == 40
    last = int(Path("/proc/sys/kernel/cap_last_cap").read_text())
    assert len(names.CAPABILITIES) > min(last, 40)


def test_rlimit_numbers() -> None:
    import resource

    for name in ("RLIMIT_CPU", "RLIMIT_NOFILE", "RLIMIT_AS", "RLIMIT_MSGQUEUE", "RLIMIT_RTTIME"):
        number = getattr(resource, name, None)
        if number is not None:
            assert names.RLIMITS.index(name) == number


def test_result_is_a_copy() -> None:
    """Lists that several places of a document share in memory stay apart in the Spec."""
    spec, _ = read(FULL)
    blocks = spec["linux"]["resources"]["blockIO"]
    blocks["throttleReadBpsDevice"][0]["rate"] = 1

    assert blocks["throttleWriteBpsDevice"][0]["rate"] == 600


def test_engines_documents(tmp_path: Path) -> None:
    """What the installed runc and crun write is accepted without a warning."""
    for runtime in ("runc", "crun"):
        program = shutil.which(runtime, path="/usr/sbin:/usr/bin:/sbin:/bin")
        if program is None:
            continue
        bundle = tmp_path / runtime
        bundle.mkdir()
        subprocess.run([program, "spec"], cwd=bundle, check=True)
        warnings: list[str] = []
        spec = parse((bundle / "config.json").read_bytes(), warnings.append)
        assert spec["process"]["args"] == ["sh"]
        assert warnings == []
    assert default_spec()["process"]["args"] == ["sh"]
