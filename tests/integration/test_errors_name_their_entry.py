"""Whatever fails at run time: the message names the key, the path, the reason, and the remedy.

One table of failures that need a real kernel; what a document alone shows is in
tests/unit/spec/malformed.py. Texts that engines match (a program that is not found or not
executable) stay runc's, word for word, and so do exit codes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from tests.support.bundle import Bundle
from tests.support.inside import cgroups_named, launched, message, namespace
from tests.support.mountinfo import mounts
from tests.support.runtimes import Runtime

pytestmark = pytest.mark.root

Bundles = Callable[..., Bundle]
Config = dict[str, Any]

PROC = {"destination": "/proc", "type": "proc", "source": "proc"}
INIT = "creche create failed: "


def bind(source: str, destination: str = "/m", *options: str) -> Config:
    return {
        "destination": destination, "type": "bind", "source": source, "options": ["bind", *options],
    }  # fmt: skip


def mounted(*entries: Config) -> Config:
    return {"mounts": [PROC, *entries]}


def linux(**changes: Any) -> Config:
    return {"linux": changes}


def process(**changes: Any) -> Config:
    return {"process": changes}


def device(**changes: Any) -> Config:
    entry = {"path": "/dev/x", "type": "c", "major": 1, "minor": 3, **changes}
    return {**mounted(), **linux(devices=[entry])}


@dataclass(frozen=True)
class Failure:
    """config: a patch. text: what the message is, with {bundle} and {root} in it.

    image: what lies in the root file system, by path: text of a file, or None for a directory.
    """

    config: Config
    text: str
    image: tuple[tuple[str, str | None], ...] = ()


def namespaces(*kinds: str, **paths: str) -> list[Config]:
    return [namespace(kind) for kind in kinds] + [namespace(k, p) for k, p in paths.items()]


ALL = ("pid", "ipc", "uts", "mount")
MAPS = [{"containerID": 0, "hostID": 100000, "size": 65536}]

FAILURES: dict[str, Failure] = {
    # Mounts: sources, destinations, kinds, types, options.
    "a source that is missing": Failure(
        mounted(bind("/no/such/thing")),
        "mounts[1] /m: source /no/such/thing: no such file or directory (/no does not exist)",
    ),
    "a source below a file": Failure(
        mounted(bind("/etc/passwd/x")),
        "mounts[1] /m: source /etc/passwd/x: not a directory (component /etc/passwd is not a "
        "directory)",
    ),
    "a source in a loop of links": Failure(
        mounted(bind("{bundle}/loop")),
        "mounts[1] /m: source {bundle}/loop: too many levels of symbolic links",
    ),
    "a directory on a file": Failure(
        mounted(bind("/etc", "/file")),
        "mounts[1] /file: mount /file: not a directory (source and destination must both be "
        "directories or both be files)",
        (("file", ""),),
    ),
    "a file on a directory": Failure(
        mounted(bind("/etc/passwd", "/tmp")),
        "mounts[1] /tmp: mount /tmp: is a directory (source and destination must both be "
        "directories or both be files)",
        (("tmp", None),),
    ),
    "a destination below a file": Failure(
        mounted(bind("/etc", "/file/x")),
        "mounts[1]: destination of /file/x: not a directory",
        (("file", ""),),
    ),
    "a filesystem that the kernel has not": Failure(
        mounted({"destination": "/m", "type": "nosuchfs", "source": "x"}),
        "mounts[1] /m: mount nosuchfs on /m: no such device",
    ),
    "an option that a filesystem has not": Failure(
        mounted({"destination": "/m", "type": "tmpfs", "source": "x", "options": ["nosuch=1"]}),
        "mounts[1] /m: mount tmpfs on /m: invalid argument",
    ),
    "a value that a filesystem does not take": Failure(
        mounted({"destination": "/m", "type": "tmpfs", "source": "x", "options": ["size=lots"]}),
        "mounts[1] /m: mount tmpfs on /m: invalid argument",
    ),
    "a remount of what is no mount": Failure(
        mounted({"destination": "/m", "options": ["remount", "ro"]}),
        "mounts[1]: remount /m: invalid argument",
        (("m", None),),
    ),
    "a remount of nothing": Failure(
        mounted({"destination": "/no/such", "options": ["remount", "ro"]}),
        "mounts[1]: remount /no/such: no such file or directory",
    ),
    "an idmapped mount of a filesystem that cannot": Failure(
        {
            **mounted({**bind("/proc"), "uidMappings": MAPS, "gidMappings": MAPS}),
        },
        "mounts[1]",
    ),
    "copying up what is no directory": Failure(
        mounted({"destination": "/file", "type": "tmpfs", "source": "x", "options": ["tmpcopyup"]}),
        "mounts[1] /file: mount /file: not a directory (source and destination must both be "
        "directories or both be files)",
        (("file", ""),),
    ),
    # The root.
    "a root that is missing": Failure(
        {"root": {"path": "nowhere"}}, "root.path: open {bundle}/nowhere: no such file or directory"
    ),
    "a root that is a file": Failure(
        {"root": {"path": "config.json"}}, "root.path: open {bundle}/config.json: not a directory"
    ),
    # Devices.
    "a device where another file is": Failure(
        device(path="/dev/null", type="c", major=1, minor=5),
        "linux.devices[0]: device /dev/null: file exists (another kind of file is there)",
        (("dev/null", ""),),
    ),
    "a device below a file": Failure(
        device(path="/file/x"), "linux.devices[0]: device /file/x: not a directory", (("file", ""),)
    ),
    # Masked and read-only paths: only what is there can fail.
    "a masked path in a loop": Failure(
        {**mounted(), **linux(maskedPaths=["/loop"])},
        "linux.maskedPaths[0]: open /loop: too many levels of symbolic links",
    ),
    "a read-only path in a loop": Failure(
        {**mounted(), **linux(readonlyPaths=["/x", "/loop"])},
        "linux.readonlyPaths[1]: open /loop: too many levels of symbolic links",
    ),
    # Namespaces.
    "a namespace that is missing": Failure(
        linux(namespaces=namespaces(*ALL, network="/no/such")),
        "linux.namespaces[4].path: open namespace /no/such: no such file or directory",
    ),
    "a namespace of another kind": Failure(
        linux(namespaces=namespaces(*ALL, network="/proc/self/ns/uts")),
        "linux.namespaces[4].path: expected a network namespace, but /proc/self/ns/uts is a uts "
        "namespace",
    ),
    "the caller's own user namespace": Failure(
        linux(namespaces=namespaces(*ALL, user="/proc/self/ns/user")),
        "linux.namespaces[4].path: enter user namespace: invalid argument",
    ),
    "a clock before the boot": Failure(
        linux(namespaces=namespaces(*ALL, "time"), timeOffsets={"boottime": {"secs": -(2**40)}}),
        "linux.timeOffsets.boottime: write /proc/self/timens_offsets: numerical result out of "
        "range",
    ),
    # The user and what belongs to it.
    "a group without permission": Failure(
        {
            **process(user={"uid": 0, "gid": 70000}),
            **linux(namespaces=namespaces(*ALL, "user"), uidMappings=MAPS, gidMappings=MAPS),
        },
        "process.user: become user 0:70000: invalid argument",
    ),
    "a user that is not mapped": Failure(
        {
            **process(user={"uid": 70000, "gid": 0}),
            **linux(namespaces=namespaces(*ALL, "user"), uidMappings=MAPS, gidMappings=MAPS),
        },
        "process.user: become user 70000:0: invalid argument",
    ),
    "a map without root": Failure(
        linux(
            namespaces=namespaces(*ALL, "user"),
            uidMappings=[{"containerID": 5, "hostID": 100000, "size": 10}],
            gidMappings=MAPS,
        ),
        "linux.uidMappings: become root of the user namespace: invalid argument (containerID 0 "
        "must be mapped)",
    ),
    # The directory.
    "a directory that is a file": Failure(
        process(cwd="/file"), "process.cwd: chdir to /file: not a directory", (("file", ""),)
    ),
    "a directory in a loop": Failure(
        process(cwd="/loop"), "process.cwd: chdir to /loop: too many levels of symbolic links"
    ),
    "a directory outside": Failure(
        process(cwd="/proc/self/fd/99"),
        "process.cwd: chdir to /proc/self/fd/99: no such file or directory",
    ),
    # Limits, scheduling.
    "a limit above the caller's": Failure(
        process(rlimits=[{"type": "RLIMIT_NOFILE", "hard": 2**40, "soft": 10}]),
        "process.rlimits[0]: raise limit to 1099511627776: operation not permitted",
    ),
    "a processor that is not there": Failure(
        linux(resources={"cpu": {"cpus": "900"}}),
        "linux.resources.cpu.cpus: ",
    ),
    "a cgroup limit that the kernel refuses": Failure(
        linux(resources={"cpu": {"quota": 1, "period": 100000}}),
        "linux.resources.cpu.quota: ",
    ),
    "a node of memory that is not there": Failure(
        linux(resources={"cpu": {"mems": "900"}}),
        "linux.resources.cpu.mems: ",
    ),
    "a device to throttle that is not there": Failure(
        linux(
            resources={
                "blockIO": {"throttleReadBpsDevice": [{"major": 4000, "minor": 1, "rate": 1}]}
            }
        ),
        "linux.resources.blockIO.throttleReadBpsDevice[0]: ",
    ),
    # Sysctls.
    "a sysctl that is not there": Failure(
        linux(namespaces=namespaces(*ALL, "network"), sysctl={"net.ipv4.nosuch": "1"}),
        'linux.sysctl["net.ipv4.nosuch"]: write /proc/sys/net/ipv4/nosuch: no such file or '
        "directory",
    ),
    "a value that a sysctl does not take": Failure(
        linux(namespaces=namespaces(*ALL, "network"), sysctl={"net.ipv4.ip_forward": "maybe"}),
        'linux.sysctl["net.ipv4.ip_forward"]: write /proc/sys/net/ipv4/ip_forward: invalid '
        "argument",
    ),
    # Network devices.
    "an interface that is not there": Failure(
        linux(namespaces=namespaces(*ALL, "network"), netDevices={"nosuch0": {}}),
        "linux.netDevices.nosuch0: find nosuch0: no such device",
    ),
    # Hooks.
    "a hook that is missing": Failure(
        {"hooks": {"createRuntime": [{"path": "/no/such"}]}},
        "error running createRuntime hook #0: ",
    ),
    "a hook that fails": Failure(
        {"hooks": {"createContainer": [{"path": "/bin/true"}, {"path": "/bin/false"}]}},
        "error running createContainer hook #1: exit status 1",
    ),
    # Seccomp.
    "a listener that nobody has": Failure(
        linux(
            seccomp={
                "defaultAction": "SCMP_ACT_ALLOW",
                "listenerPath": "/no/such.sock",
                "syscalls": [{"names": ["getcwd"], "action": "SCMP_ACT_NOTIFY"}],
            }
        ),
        "",  # at start
    ),
    # The program, in runc's words.
    "a program that is missing": Failure(
        process(args=["nosuch"]),
        'unable to start container process: exec: "nosuch": executable file not found in $PATH',
    ),
    "a program that is missing, by its path": Failure(
        process(args=["/no/such"]),
        'unable to start container process: exec: "/no/such": stat /no/such: no such file or '
        "directory",
    ),
    "a program that is a directory": Failure(
        process(args=["/bin"]),
        'unable to start container process: exec: "/bin": permission denied',
    ),
    # Terminals.
    "a terminal without a devpts": Failure(
        {**mounted(), **process(terminal=True)},
        "process.terminal: open /dev/pts/ptmx: no such file or directory (a terminal needs a "
        "devpts mounted on /dev/pts)",
    ),
}


def spoiled(made: Bundle, failure: Failure) -> Bundle:
    """The bundle with what the failure needs."""
    (made.path / "loop").symlink_to("loop")
    (made.rootfs / "loop").symlink_to("loop")
    for name, text in failure.image:
        path = made.rootfs / name
        if text is None:
            path.mkdir(parents=True, exist_ok=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    config = expanded(failure.config, str(made.path))
    return made.patch(config)


def expanded(value: Any, bundle: str) -> Any:
    if isinstance(value, dict):
        return {key: expanded(item, bundle) for key, item in value.items()}
    if isinstance(value, list):
        return [expanded(item, bundle) for item in value]
    return value.replace("{bundle}", bundle) if isinstance(value, str) else value


@pytest.mark.parametrize("what", FAILURES)
def test_the_entry_is_named(creche: Runtime, bundle: Bundles, container_id: str, what: str) -> None:
    failure = FAILURES[what]
    made = bundle({"root": {"readonly": False}})
    spoiled(made, failure)
    before = mounts()
    words = ["create", "-b", str(made), container_id]
    if made.config["process"]["terminal"]:
        words[1:1] = ["--console-socket", "/no/such"]
    result = creche.run(words)
    if not failure.text:
        result.ok()
        result = creche.run(["start", container_id]).failed(1)
        assert "linux.seccomp.listenerPath" in message(result)
        return
    result.failed(1)

    expected = INIT + failure.text.format(bundle=made.path, root=made.rootfs)
    assert message(result).startswith(expected), message(result)
    assert result.stderr.count("level=error") == 1
    assert list(creche.root.iterdir()) == []
    assert mounts() == before
    assert cgroups_named(container_id) == []


# exec ---------------------------------------------------------------------------------------------

EXECS: dict[str, tuple[list[str], str]] = {
    "a directory": (["--cwd", "/no/such", "/bin/true"], "process.cwd: chdir to /no/such: "),
    "a program": (
        ["nosuch"],
        'unable to start container process: exec: "nosuch": executable file not found in $PATH',
    ),
    "a program by its path": (
        ["/no/such"],
        'unable to start container process: exec: "/no/such": stat /no/such: no such file or '
        "directory",
    ),
    "a program that is none": (
        ["/etc/passwd"],
        'unable to start container process: exec: "/etc/passwd": permission denied',
    ),
    "a user": (["--user", "x", "/bin/true"], 'invalid user id "x" in "x": expected a number'),
    "a cgroup": (
        ["--cgroup", "nosuch", "/bin/true"],
        "adding pid of the new process to cgroup /",
    ),
    "a file": (["--process", "/no/such"], "open /no/such: no such file or directory"),
}


@pytest.mark.parametrize("what", EXECS)
def test_exec_names_it_too(creche: Runtime, bundle: Bundles, container_id: str, what: str) -> None:
    """Status 255, whatever it is."""
    words, text = EXECS[what]
    launched(creche, container_id, bundle(args=["/bin/sleep", "1000"]))
    at = 2 if words[0].startswith("--") else 0
    command = ["exec", *words[:at], container_id, *words[at:]]
    result = creche.run(command).failed(255)

    assert message(result).startswith(f"exec failed: {text}"), message(result)
