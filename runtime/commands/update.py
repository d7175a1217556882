"""creche update ID."""

from __future__ import annotations

import os

from runtime.cli.options import Command, Flag, parse_int
from runtime.cli.sizes import parse_size
from runtime.errors import CrecheError, StateError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from runtime.cli.call import Call
    from runtime.cli.options import Values
    from runtime.lifecycle.container import Container

    Resources = dict[str, Any]

# Flag -> (section, key) of linux.resources.
TEXTS = {"cpuset-cpus": ("cpu", "cpus"), "cpuset-mems": ("cpu", "mems")}
SIGNED = {
    "cpu-idle": ("cpu", "idle"),
    "cpu-quota": ("cpu", "quota"),
    "cpu-rt-runtime": ("cpu", "realtimeRuntime"),
}
UNSIGNED = {
    "cpu-burst": ("cpu", "burst"),
    "cpu-period": ("cpu", "period"),
    "cpu-rt-period": ("cpu", "realtimePeriod"),
    "cpu-share": ("cpu", "shares"),
}
SIZES = {
    "memory": ("memory", "limit"),
    "memory-swap": ("memory", "swap"),
    "memory-reservation": ("memory", "reservation"),
}
KERNEL_MEMORY = ("kernel-memory", "kernel-memory-tcp")
RDT = {"l3-cache-schema": "l3CacheSchema", "mem-bw-schema": "memBwSchema"}

COMMAND = Command(
    "update",
    "change the resource limits of a container",
    flags=(
        Flag("resources, r", "take them from this JSON file, or - for standard input", "string"),
        Flag("blkio-weight", "block I/O weight, 10 to 1000", "int"),
        Flag("cpu-period", "length of a CPU period (microseconds)", "string"),
        Flag("cpu-quota", "CPU time within a period (microseconds), -1 for no limit", "string"),
        Flag("cpu-burst", "unused quota to be used up later (microseconds)", "string"),
        Flag("cpu-share", "weight of the CPU time beside others (1024 is normal)", "string"),
        Flag("cpu-rt-period", "length of a real-time period (microseconds)", "string"),
        Flag("cpu-rt-runtime", "real-time CPU time within a period (microseconds)", "string"),
        Flag("cpuset-cpus", "CPUs to use: 0-3,7", "string"),
        Flag("cpuset-mems", "memory nodes to use", "string"),
        Flag("cpu-idle", "1: run only when nothing else does", "string"),
        Flag("memory", "memory limit: bytes, or with k, m, g; -1 for none", "string"),
        Flag("memory-reservation", "memory to be left alone when it gets scarce", "string"),
        Flag("memory-swap", "limit of memory and swap together; -1 for none", "string"),
        Flag("pids-limit", "most processes and threads, -1 for no limit", "int"),
        Flag("l3-cache-schema", "Intel RDT: the L3 cache schema", "string"),
        Flag("mem-bw-schema", "Intel RDT: the memory bandwidth schema", "string"),
        *(Flag(name, "obsolete, ignored", "string", hidden=True) for name in KERNEL_MEMORY),
    ),
    about="""\
   Only what is given changes; if one value is refused, none does. The file has the form
   of the configuration's linux.resources, with keys in any case; the other options are
   then ignored. Its devices are left as they are.

       # {name} update --memory 64M --memory-swap 64M mycontainer
       # echo '{"pids": {"limit": 20}}' | {name} update -r - mycontainer""",
)


def run(call: Call) -> int:
    """Change the limits and the saved configuration."""
    from runtime.lifecycle.blocking import open_container
    from runtime.lifecycle.limits import revise

    container = open_container(call.root, call.id, call.log)
    wanted = wanted_resources(call)
    lock = container.directory.hold("update")
    try:
        container.state = container.directory.load()
        status = container.status()
        if status == "stopped":
            raise StateError("container not running")
        if status == "creating":
            raise StateError("cannot update a container that is still being created")
        schemas = {key: call.flags.text(flag) for flag, key in RDT.items()}
        top = check_rdt(container, schemas)
        revise(container, wanted)
        container.directory.save(container.state)
        if top:
            write_rdt(container, schemas, top)
            container.directory.save(container.state)
    finally:
        os.close(lock)
    return 0


def check_rdt(container: Container, schemas: dict[str, str]) -> str:
    """Where resctrl is mounted, or "" if no schema is given. Raises CrecheError if it must fail."""
    from runtime import resctrl

    if not any(schemas.values()):
        return ""
    top = resctrl.mountpoint()
    resctrl.check(schemas, container.state["config"].get("linux", {}).get("intelRdt"), top)
    return top


def write_rdt(container: Container, schemas: dict[str, str], top: str) -> None:
    """Write the Intel RDT schemas, and note them in the container's state."""
    from runtime import resctrl

    linux: dict[str, Any] = container.state["config"].get("linux", {})  # type: ignore[assignment]
    configured = linux["intelRdt"]
    resctrl.write(schemas, configured.get("closID") or container.directory.id, top)
    configured.update({key: value for key, value in schemas.items() if value})


def wanted_resources(call: Call) -> Resources:
    """From the file, or else from the flags. Raises CrecheError, ConfigError."""
    from runtime.cli.launching import read_document
    from runtime.spec import parse_resources

    path = call.flags.text("resources")
    if not path:
        if any(call.flags.text(name) for name in KERNEL_MEMORY):
            call.log.warning("Kernel memory settings are ignored and will be removed")
        return from_flags(call.flags)
    return dict(read_document(path, parse_resources))


def from_flags(flags: Values) -> Resources:
    """Sections with what was given; an empty text counts as not given, as with runc."""
    resources: Resources = {}

    def put(place: tuple[str, str], value: int | str) -> None:
        resources.setdefault(place[0], {})[place[1]] = value

    for name, place in TEXTS.items():
        if flags.text(name):
            put(place, flags.text(name))
    for name, place in (SIGNED | UNSIGNED).items():
        if flags.text(name):
            put(place, _number(name, flags.text(name), signed=name in SIGNED))
    for name, place in SIZES.items():
        if flags.text(name):
            put(place, _size(name, flags.text(name)))
    if flags.number("blkio-weight"):
        put(("blockIO", "weight"), flags.number("blkio-weight"))
    if flags.given("pids-limit"):
        put(("pids", "limit"), flags.number("pids-limit"))
    return resources


def _number(name: str, text: str, *, signed: bool) -> int:
    number = parse_int(text)
    if number is None or (number < 0 and not signed):
        what = "an integer" if signed else "an integer that is not negative"
        raise CrecheError(f"invalid value for {name}: expected {what}, found {text!r}")
    return number


def _size(name: str, text: str) -> int:
    if text == "-1":
        return -1
    try:
        return parse_size(text)
    except ValueError as error:
        raise CrecheError(f"invalid value for {name}: {error}") from None
