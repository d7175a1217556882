"""A launch plan in words, in the order in which it is carried out."""

from __future__ import annotations

from runtime.linux.namespaces import FLAGS
from runtime.plan.capabilities import SETS, names
from runtime.plan.mounts import ATTRIBUTES, PROPAGATION
from runtime.spec.names import RLIMITS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from runtime.plan.types import DeviceOp, LaunchPlan, MountOp, ProcessPlan

NO_LIMIT = (1 << 64) - 1
# One name for each attribute that can be set; "strictatime" is the access-time field's last value.
_ATTRIBUTE_NAMES = ("ro", "nosuid", "nodev", "noexec", "nodiratime", "nosymfollow", "noatime")


def readable(plan: LaunchPlan) -> str:
    """The plan as text for people; `--json` has everything."""
    return "".join(
        f"{title}\n" + "".join(f"    {line}\n" for line in lines)
        for title, lines in _sections(plan)
        if lines
    )


def _sections(plan: LaunchPlan) -> list[tuple[str, list[str]]]:
    process = plan["process"]
    return [
        ("namespaces", _namespaces(plan)),
        ("cgroup", _cgroup(plan)),
        ("root", _root(plan)),
        ("mounts", [mount_line(op) for op in plan["mounts"]]),
        ("devices", [device_line(op) for op in plan["devices"]]),
        ("names", _names(plan)),
        ("sysctl", [f"{key} = {value}" for key, value in plan["sysctl"]]),
        ("read-only paths", plan["readonly"]),
        ("masked paths", plan["masked"]),
        ("seccomp", _seccomp(plan)),
        ("hooks in the container", _hooks(plan)),
        ("process", _process(process) if process else ["none: `create` works, `start` fails"]),
    ]


def _namespaces(plan: LaunchPlan) -> list[str]:
    lines = [f"new {name}" for name, flag in FLAGS.items() if plan["new"] & flag]
    lines += [f"join {name} at {path}" for name, path, _ in plan["join"]]
    for kind, entries in (("uid", plan["uid_map"]), ("gid", plan["gid_map"])):
        lines += [f"{kind}s {a} to {a + n - 1} are {b} to {b + n - 1}" for a, b, n in entries]
    lines += [f"clock {name} + {s}s {n}ns" for name, s, n in plan["time_offsets"]]
    if plan["loopback"]:
        lines.append("loopback up")
    return lines


def _cgroup(plan: LaunchPlan) -> list[str]:
    lines = [f"{write[0]}: {write[1]} = {write[2]}" for write in plan["cgroup_writes"]]
    return lines + [f"device rule {_words(rule)}" for rule in plan["cgroup_devices"]]


def _words(rule: object) -> str:
    if isinstance(rule, dict):
        return " ".join(f"{key}={value}" for key, value in rule.items() if value is not None)
    return str(rule)


def _root(plan: LaunchPlan) -> list[str]:
    return [plan["rootfs"] + (" read-only" if plan["root_readonly"] else "")]


def _names(plan: LaunchPlan) -> list[str]:
    pairs = (("hostname", plan["hostname"]), ("domainname", plan["domainname"]))
    return [f"{key} {value}" for key, value in pairs if value]


def mount_line(op: MountOp) -> str:
    """One mount: where, what, and how."""
    source = op["source"] or op["fstype"]
    if op["kind"] == "bind":
        how = ["rbind" if op["recursive"] else "bind"]
    else:
        how = [op["fstype"] or op["kind"]]
    for prefix, bits in (("", op["set"]), ("r", op["rset"])):
        how += [prefix + name for name in _ATTRIBUTE_NAMES if bits & ATTRIBUTES[name][0]]
    for prefix, bits in (("", op["clear"]), ("r", op["rclear"])):
        how += [
            prefix + {"ro": "rw"}.get(name, name.removeprefix("no"))
            for name in _ATTRIBUTE_NAMES[:-1]
            if bits & ATTRIBUTES[name][0]
        ]
    spelt = {bits: name for name, bits in PROPAGATION.items()}
    how += [spelt[flag, deep] for flag, deep in op["propagation"]]
    how += [key if value is None else f"{key}={value}" for key, value in op["options"]]
    return f"{op['destination']} from {source} ({', '.join(how)})"


def device_line(op: DeviceOp) -> str:
    """One node."""
    number = "" if op["kind"] == "p" else f" {op['major']}:{op['minor']}"
    return f"{op['path']} {op['kind']}{number} mode {op['mode']:04o} owner {op['uid']}:{op['gid']}"


def _seccomp(plan: LaunchPlan) -> list[str]:
    profile = plan["seccomp"]
    if not profile:
        return []
    rules = profile.get("syscalls")
    count = len(rules) if isinstance(rules, list) else 0
    return [f"default {profile.get('defaultAction')}, {count} rules"]


def _hooks(plan: LaunchPlan) -> list[str]:
    return [
        f"{stage} {hook['path']}"
        for stage, hooks in (
            ("createContainer", plan["create_container_hooks"]),
            ("startContainer", plan["start_container_hooks"]),
        )
        for hook in hooks
    ]


def _process(plan: ProcessPlan) -> list[str]:
    lines = [f"run {shown(plan['args'])}", f"in {plan['cwd']}"]
    groups = "".join(f" {group}" for group in plan["groups"])
    user = f"as {plan['uid']}:{plan['gid']}"
    lines.append(user + (f" and groups{groups}" if groups else ""))
    # A variable's value may be a secret: only names are shown.
    variables = [entry.partition("=")[0] for entry in plan["env"]]
    lines.append(f"with variables {' '.join(variables) or '(none)'}")
    lines.append(f"umask {plan['umask']:04o}")
    if plan["terminal"]:
        lines.append("on a terminal")
    if plan["no_new_privileges"]:
        lines.append("no new privileges")
    lines += [
        f"{RLIMITS[resource]} {_limit(soft)} (at most {_limit(hard)})"
        for resource, soft, hard in plan["rlimits"]
    ]
    held = plan["capabilities"]
    if held is not None:
        masks = {
            "bounding": held["bounding"],
            "effective": held["effective"],
            "inheritable": held["inheritable"],
            "permitted": held["permitted"],
            "ambient": held["ambient"],
        }
        lines += [
            f"{which} capabilities {' '.join(names(masks[which])) or '(none)'}" for which in SETS
        ]
    if plan["oom_score_adj"] is not None:
        lines.append(f"OOM score adjusted by {plan['oom_score_adj']}")
    return lines


def _limit(value: int) -> str:
    return "unlimited" if value == NO_LIMIT else str(value)


def shown(words: Iterable[str]) -> str:
    """Words of a command, quoted where a shell would need it; control characters escaped."""
    from runtime.cli.options import quoted

    plain = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._/=:,+@%")
    return " ".join(word if word and plain.issuperset(word) else quoted(word) for word in words)
