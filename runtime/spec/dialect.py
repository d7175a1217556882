"""config.json as it was before runtime-spec 1.0.0, turned into the modern form.

Guides and images still carry documents of 1.0.0-rc1 (2016). They differ in few places, all
translated here before anything is validated; one warning names what to write instead.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

# A flat list meant the first three. Never inheritable or ambient: those sets would let programs
# with file capabilities, and every program, keep what the image's author never asked for
# (CVE-2022-29162).
_FLAT_SETS = ("bounding", "effective", "permitted")


def modernise(config: object, warn: Callable[[str], None]) -> object:
    """The document, changed in place where it is in the old form.

    config: as parsed, still unchecked: whatever has an unexpected type is left for the tables to
    complain about.
    """
    if not isinstance(config, dict):
        return config
    changed: list[str] = []
    # Not a sign of its age by its name alone: only the old form has `os` and `arch` in it.
    if isinstance(config.get("platform"), dict):
        del config["platform"]
        changed.append("platform is gone (delete it)")
    process = config.get("process")
    if isinstance(process, dict):
        _flat_capabilities(process, changed)
    linux = config.get("linux")
    if isinstance(linux, dict):
        resources = linux.get("resources")
        if isinstance(resources, dict):
            _resources(resources, process, changed)
        seccomp = linux.get("seccomp")
        if isinstance(seccomp, dict):
            _syscall_names(seccomp, changed)
    _warn(changed, warn)
    return config


def modernise_process(process: object, warn: Callable[[str], None]) -> object:
    """The same for a process.json."""
    changed: list[str] = []
    if isinstance(process, dict):
        _flat_capabilities(process, changed)
    _warn(changed, warn)
    return process


def _warn(changed: list[str], warn: Callable[[str], None]) -> None:
    if changed:
        warn("written for runtime-spec 1.0.0-rc1; in 1.0.0 and later " + "; ".join(changed))


def _flat_capabilities(process: dict[str, object], changed: list[str]) -> None:
    flat = process.get("capabilities")
    if isinstance(flat, list):
        process["capabilities"] = {kind: list(flat) for kind in _FLAT_SETS}
        changed.append(
            'process.capabilities is {"bounding": [...], "effective": [...], "permitted": [...]}'
        )


def _resources(resources: dict[str, object], process: object, changed: list[str]) -> None:
    if "oomScoreAdj" in resources:
        score = resources.pop("oomScoreAdj")
        if score is not None and isinstance(process, dict):
            process.setdefault("oomScoreAdj", score)
            changed.append("linux.resources.oomScoreAdj is process.oomScoreAdj")
    if "disableOOMKiller" in resources:
        disable = resources.pop("disableOOMKiller")
        if resources.get("memory") is None:
            resources["memory"] = {}
        memory = resources["memory"]
        if disable is not None and isinstance(memory, dict):
            memory.setdefault("disableOOMKiller", disable)
            changed.append(
                "linux.resources.disableOOMKiller is linux.resources.memory.disableOOMKiller"
            )
    block = resources.get("blockIO")
    if isinstance(block, dict):
        old = [key for key in block if key.startswith("blkio") and len(key) > 5]
        for key in old:
            modern = key[5].lower() + key[6:]
            block.setdefault(modern, block.pop(key))
        if old:
            changed.append("linux.resources.blockIO has keys without blkio (weight)")


def _syscall_names(seccomp: dict[str, object], changed: list[str]) -> None:
    syscalls = seccomp.get("syscalls")
    found = False
    for entry in syscalls if isinstance(syscalls, list) else ():
        if isinstance(entry, dict) and "names" not in entry and isinstance(entry.get("name"), str):
            entry["names"] = [entry.pop("name")]
            found = True
    if found:
        changed.append("linux.seccomp.syscalls[].name is names, a list")
