"""Configurations that must be refused, each with the exact text it is refused with.

A table for any test to use: `parse` is fed with it here, `creche create` by an integration test
that looks whether anything was left behind. The base is the document that `creche spec` writes;
no case depends on the bundle or on the machine.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from runtime.jsonio import MAX_SIZE
from runtime.spec import default_spec, render

Config = dict[str, Any]
DELETE = object()


@dataclass(frozen=True)
class Malformed:
    """One case. change: the file's very bytes, or what to do to the base document."""

    name: str
    change: bytes | Callable[[Config], None]
    message: str

    def data(self) -> bytes:
        """The bytes of config.json."""
        if isinstance(self.change, bytes):
            return self.change
        config = json.loads(render(default_spec()))
        self.change(config)
        return json.dumps(config).encode()


def put(path: str, value: object) -> Callable[[Config], None]:
    """Set the value at a dotted path ("linux.namespaces.0.type"); objects on the way are made."""

    def change(config: Config) -> None:
        *parents, last = path.split(".")
        here: Any = config
        for name in parents:
            here = here[int(name)] if isinstance(here, list) else here.setdefault(name, {})
        if value is DELETE:
            del here[last]
        elif isinstance(here, list):
            here[int(last)] = value
        else:
            here[last] = value

    return change


def both(*changes: Callable[[Config], None]) -> Callable[[Config], None]:
    def change(config: Config) -> None:
        for one in changes:
            one(config)

    return change


def text(old: str, new: str) -> bytes:
    """The base's text with its first `old` replaced: for what json.dumps would never write."""
    base = render(default_spec())
    assert old in base
    return base.replace(old, new, 1).encode()


def mapping(container: int, host: int, size: int) -> dict[str, int]:
    return {"containerID": container, "hostID": host, "size": size}


def userns(uid: list[dict[str, int]], gid: list[dict[str, int]]) -> Callable[[Config], None]:
    def change(config: Config) -> None:
        config["linux"]["namespaces"].append({"type": "user"})
        config["linux"]["uidMappings"] = uid
        config["linux"]["gidMappings"] = gid

    return change


def without(kind: str) -> Callable[[Config], None]:
    """Take one namespace away."""

    def change(config: Config) -> None:
        linux = config["linux"]
        linux["namespaces"] = [n for n in linux["namespaces"] if n["type"] != kind]

    return change


ROOT_MAP = [mapping(0, 100000, 65536)]
SYSCALL = {"names": ["read"], "action": "SCMP_ACT_ALLOW"}
SECCOMP = {"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [SYSCALL]}

# Not JSON, or not the JSON that is accepted ------------------------------------------------------

_TEXT = [
    Malformed(
        "empty file",
        b"",
        "not valid JSON: expected a value, found the end of the text (line 1 column 1)",
    ),
    Malformed(
        "cut off",
        text("", "")[:100],
        "not valid JSON: expected ',' delimiter, found the end of the text (line 8 column 4)",
    ),
    Malformed(
        "trailing comma",
        text('"readonly": true\n', '"readonly": true,\n'),
        "not valid JSON: trailing comma (line 45 column 19)",
    ),
    Malformed(
        "comment",
        text("{", "{ // a comment"),
        "not valid JSON: expected property name in double quotes (line 1 column 3)",
    ),
    Malformed(
        "single quotes",
        b"{'ociVersion': '1.0.0'}",
        "not valid JSON: expected property name in double quotes (line 1 column 2)",
    ),
    Malformed(
        "more behind the end",
        text("{", '{"ociVersion": "1.3.0"} {'),
        "not valid JSON: expected the end, found more text (line 1 column 25)",
    ),
    Malformed(
        "byte order mark",
        b"\xef\xbb\xbf" + text("", ""),
        "not valid JSON: begins with a byte order mark (line 1 column 1)",
    ),
    Malformed(
        "UTF-16",
        '{"ociVersion": "1.0.0"}'.encode("utf-16"),
        "not valid UTF-8: byte 0xff at line 1 column 1",
    ),
    Malformed(
        "Latin-1",
        b'{\n"hostname": "caf\xe9"}',
        "not valid UTF-8: byte 0xe9 at line 2 column 17",
    ),
    Malformed(
        "control character in a string",
        b'{"hostname": "a\tb"}',
        "not valid JSON: invalid control character (line 1 column 16)",
    ),
    Malformed(
        "NaN",
        text('"hard": 1024', '"hard": NaN'),
        "process.rlimits[0].hard: expected a number, found NaN, which is not JSON",
    ),
    Malformed(
        "infinity",
        text('"soft": 1024', '"soft": Infinity'),
        "process.rlimits[0].soft: expected a number, found Infinity, which is not JSON",
    ),
    Malformed(
        "number beyond a double",
        text('"uid": 0', '"uid": 1e400'),
        'process.user.uid: expected a number that fits 64 bits, found "1e400"',
    ),
    Malformed(
        "number of 5000 digits",
        text('"uid": 0', '"uid": ' + "9" * 5000),
        "process.user.uid: expected a number of at most 20 digits, found one of 5000",
    ),
    Malformed(
        "duplicate key",
        text('"cwd": "/"', '"cwd": "/", "cwd": "/tmp"'),
        "process.cwd: the key is given twice",
    ),
    Malformed(
        "duplicate section",
        text('"hostname"', '"linux": {}, "hostname"'),
        "linux: the key is given twice",
    ),
    Malformed(
        "lone surrogate",
        text('"TERM=xterm"', '"TERM=\\ud800"'),
        "process.env[1]: expected Unicode text, found the lone surrogate 0xd800",
    ),
    Malformed(
        "nested too deeply",
        b"[" * 200 + b"]" * 200,
        "expected at most 128 levels of nesting, found more",
    ),
    Malformed(
        "nested beyond any stack",
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        "expected at most 128 levels of nesting, found more",
    ),
    Malformed(
        "too large",
        b" " * (MAX_SIZE + 1),
        f"expected at most {MAX_SIZE} bytes, found {MAX_SIZE + 1}",
    ),
    Malformed("not an object", b"[]", "expected an object, found an array"),
    Malformed("null", b"null", "expected an object, found null"),
]

# The document and process ------------------------------------------------------------------------

_PROCESS = [
    Malformed(
        "no version", put("ociVersion", DELETE), "ociVersion: expected a string, found nothing"
    ),
    Malformed(
        "version is a number", put("ociVersion", 1), "ociVersion: expected a string, found 1"
    ),
    Malformed(
        "version is no version",
        put("ociVersion", "latest"),
        'ociVersion: expected a version such as "1.3.0", found "latest"',
    ),
    Malformed(
        "version 2", put("ociVersion", "2.0.0"), 'ociVersion: expected version 1.x, found "2.0.0"'
    ),
    Malformed("no root", put("root", DELETE), "root: expected an object, found nothing"),
    Malformed("root is null", put("root", None), "root: expected an object, found nothing"),
    Malformed("no root path", put("root", {}), "root.path: expected a string, found nothing"),
    Malformed("empty root path", put("root.path", ""), 'root.path: expected a path, found ""'),
    Malformed(
        "root path with NUL",
        put("root.path", "rootfs\0/etc"),
        'root.path: expected a string without NUL, found "rootfs\\u0000/etc"',
    ),
    Malformed(
        "readonly is a string",
        put("root.readonly", "true"),
        'root.readonly: expected true or false, found "true"',
    ),
    Malformed(
        "process is a list", put("process", []), "process: expected an object, found an array"
    ),
    Malformed(
        "no args", put("process.args", DELETE), "process.args: expected an array, found nothing"
    ),
    Malformed(
        "empty args",
        put("process.args", []),
        "process.args: expected at least 1 entry, found an empty array",
    ),
    Malformed(
        "empty program", put("process.args", [""]), 'process.args[0]: expected a program, found ""'
    ),
    Malformed(
        "args is a string",
        put("process.args", "sh -c ls"),
        'process.args: expected an array, found "sh -c ls"',
    ),
    Malformed(
        "null in args",
        put("process.args", ["sh", None]),
        "process.args[1]: expected a string, found null",
    ),
    Malformed(
        "NUL in args",
        put("process.args", ["sh", "a\0b"]),
        'process.args[1]: expected a string without NUL, found "a\\u0000b"',
    ),
    Malformed(
        "no cwd",
        put("process.cwd", DELETE),
        "process.cwd: expected an absolute path, found nothing",
    ),
    Malformed(
        "relative cwd",
        put("process.cwd", "tmp"),
        'process.cwd: expected an absolute path, found "tmp"',
    ),
    Malformed(
        "cwd too long",
        put("process.cwd", "/" + "a" * 5000),
        f'process.cwd: expected a path of at most 4095 bytes, found "/{"a" * 62}\u2026"',
    ),
    Malformed(
        "variable without value",
        put("process.env.0", "PATH"),
        'process.env[0]: expected NAME=VALUE, found "PATH"',
    ),
    Malformed(
        "variable without name",
        put("process.env.1", "=xterm"),
        'process.env[1]: expected NAME=VALUE, found "=xterm"',
    ),
    Malformed(
        "terminal is a number",
        put("process.terminal", 1),
        "process.terminal: expected true or false, found 1",
    ),
    Malformed(
        "uid is true",
        put("process.user.uid", True),
        "process.user.uid: expected an integer from 0 to 4294967294, found true",
    ),
    Malformed(
        "uid is a string",
        put("process.user.uid", "0"),
        'process.user.uid: expected an integer from 0 to 4294967294, found "0"',
    ),
    Malformed(
        "uid is a float",
        put("process.user.uid", 0.0),
        "process.user.uid: expected an integer from 0 to 4294967294, found 0.0",
    ),
    Malformed(
        "negative gid",
        put("process.user.gid", -1),
        "process.user.gid: expected an integer from 0 to 4294967294, found -1",
    ),
    Malformed(
        "uid that means none",
        put("process.user.uid", 2**32 - 1),
        "process.user.uid: expected an integer from 0 to 4294967294, found 4294967295",
    ),
    Malformed(
        "additional group out of range",
        put("process.user.additionalGids", [1, 2**32]),
        "process.user.additionalGids[1]: expected an integer from 0 to 4294967294, "
        "found 4294967296",
    ),
    Malformed(
        "umask",
        put("process.user.umask", 0o1777),
        "process.user.umask: expected an integer from 0 to 511 (octal 0777), found 1023",
    ),
    Malformed(
        "console of enormous height",
        put("process.consoleSize", {"height": 70000, "width": 80}),
        "process.consoleSize.height: expected at most 65535, found 70000",
    ),
    Malformed(
        "capability is a number",
        put("process.capabilities.bounding", [21]),
        "process.capabilities.bounding[0]: expected a string, found 21",
    ),
    Malformed(
        "capabilities are a string",
        put("process.capabilities", "ALL"),
        'process.capabilities: expected an object, found "ALL"',
    ),
    Malformed(
        "unknown resource limit",
        put("process.rlimits.0.type", "RLIMIT_FILES"),
        "process.rlimits[0].type: expected a resource limit such as RLIMIT_NOFILE, "
        'found "RLIMIT_FILES"',
    ),
    Malformed(
        "soft limit above the hard one",
        put("process.rlimits.0.soft", 4096),
        "process.rlimits[0].soft: expected at most the hard limit 1024, found 4096",
    ),
    Malformed(
        "limit given twice",
        lambda config: config["process"]["rlimits"].extend(config["process"]["rlimits"]),
        "process.rlimits[1].type: RLIMIT_NOFILE is already given by process.rlimits[0]",
    ),
    Malformed(
        "limit beyond 64 bits",
        put("process.rlimits.0.hard", 2**64),
        "process.rlimits[0].hard: expected an integer from 0 to 18446744073709551615, "
        "found 18446744073709551616",
    ),
    Malformed(
        "limit without hard",
        put("process.rlimits.0.hard", None),
        "process.rlimits[0].hard: expected an integer from 0 to 18446744073709551615, "
        "found nothing",
    ),
    Malformed(
        "score",
        put("process.oomScoreAdj", -1001),
        "process.oomScoreAdj: expected an integer from -1000 to 1000, found -1001",
    ),
    Malformed(
        "newline in the AppArmor profile",
        put("process.apparmorProfile", "a\nb"),
        'process.apparmorProfile: expected a string without control characters, found "a\\nb"',
    ),
    Malformed(
        "unknown scheduler policy",
        put("process.scheduler", {"policy": "SCHED_EXT"}),
        "process.scheduler.policy: expected one of SCHED_OTHER, SCHED_FIFO, SCHED_RR, "
        'SCHED_BATCH, SCHED_ISO, SCHED_IDLE, SCHED_DEADLINE, found "SCHED_EXT"',
    ),
    Malformed(
        "nice",
        put("process.scheduler", {"policy": "SCHED_OTHER", "nice": 20}),
        "process.scheduler.nice: expected an integer from -20 to 19, found 20",
    ),
    Malformed(
        "priority without real time",
        put("process.scheduler", {"policy": "SCHED_BATCH", "priority": 5}),
        "process.scheduler.priority: expected none but for SCHED_FIFO and SCHED_RR, found 5",
    ),
    Malformed(
        "real time without priority",
        put("process.scheduler", {"policy": "SCHED_RR"}),
        "process.scheduler.priority: expected an integer from 1 to 99 for SCHED_RR, found 0",
    ),
    Malformed(
        "deadline without its policy",
        put("process.scheduler", {"policy": "SCHED_OTHER", "deadline": 1000}),
        "process.scheduler.deadline: expected none but for SCHED_DEADLINE, found 1000",
    ),
    Malformed(
        "I/O class",
        put("process.ioPriority", {"class": "IOPRIO_CLASS_NONE", "priority": 1}),
        "process.ioPriority.class: expected one of IOPRIO_CLASS_RT, IOPRIO_CLASS_BE, "
        'IOPRIO_CLASS_IDLE, found "IOPRIO_CLASS_NONE"',
    ),
    Malformed(
        "I/O priority",
        put("process.ioPriority", {"class": "IOPRIO_CLASS_BE", "priority": 8}),
        "process.ioPriority.priority: expected an integer from 0 to 7, found 8",
    ),
    Malformed(
        "affinity",
        put("process.execCPUAffinity", {"initial": "0-"}),
        'process.execCPUAffinity.initial: expected numbers and ranges such as 0-3,7, found "0-"',
    ),
    Malformed(
        "affinity backwards",
        put("process.execCPUAffinity", {"final": "3-1"}),
        "process.execCPUAffinity.final: the range 3-1 runs backwards",
    ),
]

# Names, mounts, hooks, annotations ---------------------------------------------------------------

_MIDDLE = [
    Malformed(
        "host name too long",
        put("hostname", "h" * 65),
        f'hostname: expected a host name of at most 64 bytes, found "{"h" * 63}\u2026"',
    ),
    Malformed(
        "host name on the host",
        without("uts"),
        "hostname: unable to set hostname without a private UTS namespace",
    ),
    Malformed(
        "domain name on the host",
        both(without("uts"), put("hostname", ""), put("domainname", "example")),
        "domainname: unable to set domainname without a private UTS namespace",
    ),
    Malformed(
        "mounts is an object", put("mounts", {}), "mounts: expected an array, found an object"
    ),
    Malformed(
        "mount without destination",
        put("mounts.1.destination", None),
        "mounts[1].destination: expected a string, found nothing",
    ),
    Malformed(
        "mount with an empty destination",
        put("mounts.1.destination", ""),
        'mounts[1].destination: expected a path, found ""',
    ),
    Malformed(
        "mount options are a string",
        put("mounts.1.options", "ro,nosuid"),
        'mounts[1].options: expected an array, found "ro,nosuid"',
    ),
    Malformed(
        "bind mount of nothing",
        put("mounts.1", {"destination": "/data", "options": ["rbind", "ro"]}),
        "mounts[1].source: expected the path to bind, found nothing",
    ),
    Malformed(
        "mapped mount without gids",
        put("mounts.1.uidMappings", ROOT_MAP),
        "mounts[1]: id-mapped mounts must have both uid and gid mappings specified, found one",
    ),
    Malformed(
        "mapped mount without any map",
        put(
            "mounts.1",
            {"destination": "/data", "source": "/srv", "options": ["bind", "idmap"]},
        ),
        "mounts[1].options: idmap needs uidMappings and gidMappings here or a user namespace, "
        "found neither",
    ),
    Malformed(
        "mapped mount with an empty range",
        both(
            put("mounts.1.uidMappings", [mapping(0, 1, 0)]), put("mounts.1.gidMappings", ROOT_MAP)
        ),
        "mounts[1].uidMappings[0].size: expected at least 1, found 0",
    ),
    Malformed(
        "hook without path",
        put("hooks", {"prestart": [{"args": ["x"]}]}),
        "hooks.prestart[0].path: expected an absolute path, found nothing",
    ),
    Malformed(
        "hook with a relative path",
        put("hooks", {"poststop": [{"path": "/bin/true"}, {"path": "cleanup.sh"}]}),
        'hooks.poststop[1].path: expected an absolute path, found "cleanup.sh"',
    ),
    Malformed(
        "hook that may take no time",
        put("hooks", {"poststart": [{"path": "/bin/true", "timeout": 0}]}),
        "hooks.poststart[0].timeout: expected a number of seconds, at least 1, found 0",
    ),
    Malformed(
        "hook that may take half a second",
        put("hooks", {"createRuntime": [{"path": "/bin/true", "timeout": 0.5}]}),
        "hooks.createRuntime[0].timeout: expected a number of seconds, at least 1, found 0.5",
    ),
    Malformed(
        "hook with a broken environment",
        put("hooks", {"createContainer": [{"path": "/bin/true", "env": ["A=1", "B"]}]}),
        'hooks.createContainer[0].env[1]: expected NAME=VALUE, found "B"',
    ),
    Malformed(
        "hooks are a list",
        put("hooks", {"startContainer": {"path": "/bin/true"}}),
        "hooks.startContainer: expected an array, found an object",
    ),
    Malformed(
        "annotation without key",
        put("annotations", {"": "x"}),
        'annotations: expected as key a string that is not empty, found ""',
    ),
    Malformed(
        "annotation that is a number",
        put("annotations", {"com.example/level": 3}),
        'annotations["com.example/level"]: expected a string, found 3',
    ),
]

# linux -------------------------------------------------------------------------------------------

_LINUX = [
    Malformed("linux is true", put("linux", True), "linux: expected an object, found true"),
    Malformed(
        "unknown namespace",
        put("linux.namespaces.1.type", "net"),
        "linux.namespaces[1].type: expected one of mount, pid, network, uts, ipc, user, cgroup, "
        'time, found "net"',
    ),
    Malformed(
        "namespace without type",
        put("linux.namespaces.0", {"path": "/proc/1/ns/pid"}),
        "linux.namespaces[0].type: expected one of mount, pid, network, uts, ipc, user, cgroup, "
        "time, found nothing",
    ),
    Malformed(
        "namespace given twice",
        put("linux.namespaces.4.type", "network"),
        "linux.namespaces[4].type: network is already given by linux.namespaces[1]",
    ),
    Malformed(
        "namespace by relative path",
        put("linux.namespaces.1.path", "netns/a"),
        'linux.namespaces[1].path: expected an absolute path, found "netns/a"',
    ),
    Malformed(
        "mappings without user namespace",
        both(put("linux.uidMappings", ROOT_MAP), put("linux.gidMappings", ROOT_MAP)),
        "linux.uidMappings: needs a user namespace, found none",
    ),
    Malformed(
        "uid mappings alone",
        userns(ROOT_MAP, []),
        "linux.gidMappings: expected at least one mapping, as for the other kind of id, found none",
    ),
    Malformed(
        "mapping of no id",
        userns([mapping(0, 100000, 0)], ROOT_MAP),
        "linux.uidMappings[0].size: expected at least 1, found 0",
    ),
    Malformed(
        "mapping without size",
        userns(ROOT_MAP, [{"containerID": 0, "hostID": 0}]),
        "linux.gidMappings[0].size: expected an integer from 0 to 4294967295, found nothing",
    ),
    Malformed(
        "mappings that overlap inside",
        userns([mapping(0, 100000, 1000), mapping(999, 300000, 10)], ROOT_MAP),
        "linux.uidMappings[1].containerID: overlaps linux.uidMappings[0], both hold the id 999",
    ),
    Malformed(
        "mappings that overlap outside",
        userns(ROOT_MAP, [mapping(10, 5000, 10), mapping(0, 4995, 6)]),
        "linux.gidMappings[1].hostID: overlaps linux.gidMappings[0], both hold the id 5000",
    ),
    Malformed(
        "mapping beyond the last id",
        userns([mapping(0, 4294967290, 6)], ROOT_MAP),
        "linux.uidMappings[0].hostID: expected a range that ends at 4294967294, "
        "found 4294967290 to 4294967295",
    ),
    Malformed(
        "too many mappings",
        userns([mapping(i, i, 1) for i in range(341)], ROOT_MAP),
        "linux.uidMappings: expected at most 340 mappings, found 341",
    ),
    Malformed(
        "time without namespace",
        put("linux.timeOffsets", {"boottime": {"secs": 1}}),
        "linux.timeOffsets: needs a time namespace, found none",
    ),
    Malformed(
        "unknown clock",
        put("linux.timeOffsets", {"realtime": {"secs": 1}}),
        'linux.timeOffsets: expected as key one of monotonic, boottime, found "realtime"',
    ),
    Malformed(
        "too many nanoseconds",
        put("linux.timeOffsets", {"monotonic": {"nanosecs": 10**9}}),
        "linux.timeOffsets.monotonic.nanosecs: expected an integer from 0 to 999999999, "
        "found 1000000000",
    ),
    Malformed(
        "sysctl of the host",
        put("linux.sysctl", {"kernel.core_pattern": "|/evil"}),
        'linux.sysctl["kernel.core_pattern"]: not allowed, '
        "it is not in a separate kernel namespace",
    ),
    Malformed(
        "sysctl by way of another",
        put("linux.sysctl", {"net/../kernel/core_pattern": "|/evil"}),
        'linux.sysctl["net/../kernel/core_pattern"]: expected a sysctl such as '
        'net.ipv4.ip_forward, found "net/../kernel/core_pattern"',
    ),
    Malformed(
        "sysctl by way of another, with dots",
        put("linux.sysctl", {"net.ipv4.//.//.kernel": "1"}),
        'linux.sysctl["net.ipv4.//.//.kernel"]: expected a sysctl such as '
        'net.ipv4.ip_forward, found "net.ipv4.//.//.kernel"',
    ),
    Malformed(
        "sysctl with two lines",
        put("linux.sysctl", {"net.ipv4.ip_forward": "1\n+kernel.core_pattern=x"}),
        'linux.sysctl["net.ipv4.ip_forward"]: expected a string without control characters, '
        'found "1\\n+kernel.core_pattern=x"',
    ),
    Malformed(
        "sysctl that is a number",
        put("linux.sysctl", {"net.ipv4.ip_forward": 1}),
        'linux.sysctl["net.ipv4.ip_forward"]: expected a string, found 1',
    ),
    Malformed(
        "sysctl of the host's network",
        both(without("network"), put("linux.sysctl", {"net.ipv4.ip_forward": "1"})),
        'linux.sysctl["net.ipv4.ip_forward"]: not allowed in the host\'s network namespace, '
        "add one to the container",
    ),
    Malformed(
        "sysctl for the host name",
        put("linux.sysctl", {"kernel.hostname": "x"}),
        'linux.sysctl["kernel.hostname"]: not allowed, set hostname instead',
    ),
    Malformed(
        "sysctl in two spellings",
        put("linux.sysctl", {"net.ipv4.ip_forward": "1", "net/ipv4/ip_forward": "0"}),
        'linux.sysctl["net/ipv4/ip_forward"]: the same sysctl as "net.ipv4.ip_forward"',
    ),
    Malformed(
        "cgroup outside",
        put("linux.cgroupsPath", "/a/../../b"),
        'linux.cgroupsPath: expected a path without .., found "/a/../../b"',
    ),
    Malformed(
        "cgroup with a newline",
        put("linux.cgroupsPath", "/a\nb"),
        'linux.cgroupsPath: expected a string without control characters, found "/a\\nb"',
    ),
    Malformed(
        "device type",
        put("linux.devices", [{"type": "x", "path": "/dev/x"}]),
        'linux.devices[0].type: expected one of c, b, u, p, found "x"',
    ),
    Malformed(
        "a throttle without a rate",
        put(
            "linux.resources.blockIO",
            {"throttleReadBpsDevice": [{"major": 8, "minor": 0}]},
        ),
        "linux.resources.blockIO.throttleReadBpsDevice[0].rate: expected an integer from 0 to "
        "18446744073709551615, found nothing",
    ),
    Malformed(
        "too many mounts",
        put("mounts", [{"destination": "/m", "type": "tmpfs"}] * 16385),
        "mounts: expected at most 16384 entries, found 16385",
    ),
    Malformed(
        "device without number",
        put("linux.devices", [{"type": "c", "path": "/dev/x", "minor": 1}]),
        "linux.devices[0].major: expected a device number, found nothing",
    ),
    Malformed(
        "device by relative path",
        put("linux.devices", [{"type": "c", "path": "dev/x", "major": 1, "minor": 1}]),
        'linux.devices[0].path: expected an absolute path, found "dev/x"',
    ),
    Malformed(
        "device number",
        put("linux.devices", [{"type": "c", "path": "/dev/x", "major": 4096, "minor": 1}]),
        "linux.devices[0].major: expected an integer from 0 to 4095, found 4096",
    ),
    Malformed(
        "interface name",
        put("linux.netDevices", {"../eth0": {}}),
        'linux.netDevices["../eth0"]: invalid network device name "../eth0"',
    ),
    Malformed(
        "new interface name",
        put("linux.netDevices", {"eth0": {"name": "an-interface-of-17"}}),
        'linux.netDevices.eth0.name: invalid network device name "an-interface-of-17"',
    ),
    Malformed(
        "interface for the host's network",
        both(without("network"), put("linux.netDevices", {"eth0": {}})),
        "linux.netDevices: unable to move network devices without a NET namespace",
    ),
    Malformed(
        "propagation",
        put("linux.rootfsPropagation", "public"),
        "linux.rootfsPropagation: expected one of shared, slave, private, unbindable, rshared, "
        'rslave, rprivate, runbindable, found "public"',
    ),
    Malformed(
        "masked path",
        put("linux.maskedPaths", ["proc/kcore"]),
        'linux.maskedPaths[0]: expected an absolute path, found "proc/kcore"',
    ),
    Malformed(
        "masked paths of the host",
        without("mount"),
        "linux.maskedPaths: unable to restrict paths without a private MNT namespace",
    ),
    Malformed(
        "RDT class",
        put("linux.intelRdt", {"closID": "../x"}),
        'linux.intelRdt.closID: expected a directory\'s name or /, found "../x"',
    ),
    Malformed(
        "RDT bandwidth",
        put("linux.intelRdt", {"memBwSchema": "L3:0=f"}),
        'linux.intelRdt.memBwSchema: expected a line that begins with MB:, found "L3:0=f"',
    ),
    Malformed(
        "memory policy mode",
        put("linux.memoryPolicy", {"mode": "INTERLEAVE", "nodes": "0"}),
        'linux.memoryPolicy.mode: invalid memory policy mode "INTERLEAVE", expected one of '
        "MPOL_DEFAULT, MPOL_BIND, MPOL_INTERLEAVE, MPOL_WEIGHTED_INTERLEAVE, MPOL_PREFERRED, "
        "MPOL_PREFERRED_MANY, MPOL_LOCAL",
    ),
    Malformed(
        "memory policy flag",
        put("linux.memoryPolicy", {"mode": "MPOL_PREFERRED", "nodes": "0", "flags": ["bad"]}),
        'linux.memoryPolicy.flags[0]: invalid memory policy flag "bad", expected one of '
        "MPOL_F_NUMA_BALANCING, MPOL_F_RELATIVE_NODES, MPOL_F_STATIC_NODES",
    ),
    Malformed(
        "memory policy nodes",
        put("linux.memoryPolicy", {"mode": "MPOL_BIND", "nodes": "0-9876543210"}),
        'linux.memoryPolicy.nodes: invalid memory policy nodes "0-9876543210": '
        "9876543210 is too large, the limit is 1023",
    ),
    Malformed(
        "memory policy with nodes it has no use for",
        put("linux.memoryPolicy", {"mode": "MPOL_DEFAULT", "nodes": "0-7"}),
        "linux.memoryPolicy.nodes: invalid memory policy: MPOL_DEFAULT mode requires 0 nodes "
        "but got 8",
    ),
    Malformed(
        "memory policy without nodes",
        put("linux.memoryPolicy", {"mode": "MPOL_BIND"}),
        "linux.memoryPolicy.nodes: invalid memory policy: MPOL_BIND mode requires at least one "
        "node but got 0",
    ),
    Malformed(
        "personality",
        put("linux.personality", {"domain": "BSD"}),
        'linux.personality.domain: expected one of LINUX, LINUX32, found "BSD"',
    ),
]

# linux.resources and linux.seccomp ---------------------------------------------------------------

_LIMITS = [
    Malformed(
        "memory limit in words",
        put("linux.resources.memory", {"limit": "512M"}),
        "linux.resources.memory.limit: expected an integer from -9223372036854775808 to "
        '9223372036854775807, found "512M"',
    ),
    Malformed(
        "negative shares",
        put("linux.resources.cpu", {"shares": -1}),
        "linux.resources.cpu.shares: expected an integer from 0 to 18446744073709551615, found -1",
    ),
    Malformed(
        "pids limit is false",
        put("linux.resources.pids", {"limit": False}),
        "linux.resources.pids.limit: expected an integer from -9223372036854775808 to "
        "9223372036854775807, found false",
    ),
    Malformed(
        "block weight",
        put("linux.resources.blockIO", {"weight": 65536}),
        "linux.resources.blockIO.weight: expected an integer from 0 to 65535, found 65536",
    ),
    Malformed(
        "device rule without allow",
        put("linux.resources.devices", [{"access": "rwm"}]),
        "linux.resources.devices[0].allow: expected true or false, found nothing",
    ),
    Malformed(
        "device rule with unknown access",
        put("linux.resources.devices", [{"allow": True, "access": "rwx"}]),
        'linux.resources.devices[0].access: expected a combination of r, w and m, found "rwx"',
    ),
    Malformed(
        "huge page size",
        put("linux.resources.hugepageLimits", [{"pageSize": "../2MB", "limit": 1}]),
        'linux.resources.hugepageLimits[0].pageSize: expected a page size such as "2MB", '
        'found "../2MB"',
    ),
    Malformed(
        "RDMA without a limit",
        put("linux.resources.rdma", {"mlx5_1": {}}),
        "linux.resources.rdma.mlx5_1: expected hcaHandles or hcaObjects, found neither",
    ),
    Malformed(
        "unified file elsewhere",
        put("linux.resources.unified", {"../memory.max": "max"}),
        'linux.resources.unified["../memory.max"]: expected as key a cgroup file such as '
        "memory.high (no slashes)",
    ),
    Malformed(
        "unified file that moves processes",
        put("linux.resources.unified", {"cgroup.procs": "1"}),
        'linux.resources.unified["cgroup.procs"]: not allowed, this file is no resource limit',
    ),
    Malformed(
        "seccomp without default",
        put("linux.seccomp", {"syscalls": [SYSCALL]}),
        "linux.seccomp.defaultAction: expected a seccomp action such as SCMP_ACT_ALLOW, "
        "found nothing",
    ),
    Malformed(
        "seccomp action",
        put("linux.seccomp", {"defaultAction": "ALLOW"}),
        "linux.seccomp.defaultAction: expected a seccomp action such as SCMP_ACT_ALLOW, "
        'found "ALLOW"',
    ),
    Malformed(
        "seccomp architecture",
        put("linux.seccomp", {**SECCOMP, "architectures": ["amd64"]}),
        "linux.seccomp.architectures[0]: expected an architecture such as SCMP_ARCH_X86_64, "
        'found "amd64"',
    ),
    Malformed(
        "seccomp rule for nothing",
        put("linux.seccomp", {**SECCOMP, "syscalls": [{**SYSCALL, "names": []}]}),
        "linux.seccomp.syscalls[0].names: expected at least 1 entry, found an empty array",
    ),
    Malformed(
        "seccomp argument",
        put(
            "linux.seccomp",
            {
                **SECCOMP,
                "syscalls": [{**SYSCALL, "args": [{"index": 6, "value": 0, "op": "SCMP_CMP_EQ"}]}],
            },
        ),
        "linux.seccomp.syscalls[0].args[0].index: expected an integer from 0 to 5, found 6",
    ),
    Malformed(
        "seccomp flag",
        put("linux.seccomp", {**SECCOMP, "flags": ["TSYNC"]}),
        "linux.seccomp.flags[0]: expected one of SECCOMP_FILTER_FLAG_TSYNC, "
        "SECCOMP_FILTER_FLAG_LOG, SECCOMP_FILTER_FLAG_SPEC_ALLOW, "
        'SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, found "TSYNC"',
    ),
]

MALFORMED = [*_TEXT, *_PROCESS, *_MIDDLE, *_LINUX, *_LIMITS]
