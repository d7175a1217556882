"""What `linux.seccomp` has to satisfy before libseccomp sees it, and its flags. Pure."""

from __future__ import annotations

from runtime.errors import ConfigError

from . import tables

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

NOTIFY = "SCMP_ACT_NOTIFY"


def check(seccomp: Mapping[str, Any], path: str = "linux.seccomp") -> None:
    """Raises ConfigError. That a system call's name is unknown is not an error (see compile)."""
    default = seccomp.get("defaultAction")
    _known(default, tables.ACTIONS, f"{path}.defaultAction", "action")
    if default == NOTIFY:
        raise ConfigError(
            f"{path}.defaultAction", "SCMP_ACT_NOTIFY cannot be used as default action"
        )
    _errno(default, seccomp.get("defaultErrnoRet"), f"{path}.defaultErrnoRet")
    for index, name in enumerate(seccomp.get("architectures") or []):
        _known(name, tables.ARCHITECTURES, f"{path}.architectures[{index}]", "architecture")
    for index, name in enumerate(seccomp.get("flags") or []):
        _known(name, tables.FLAGS, f"{path}.flags[{index}]", "flag")
    for index, call in enumerate(seccomp.get("syscalls") or []):
        _check_call(call, f"{path}.syscalls[{index}]")
    if uses_notify(seccomp) and not seccomp.get("listenerPath"):
        message = "required, because a system call's action is SCMP_ACT_NOTIFY"
        raise ConfigError(f"{path}.listenerPath", message)
    if seccomp.get("listenerMetadata") and not seccomp.get("listenerPath"):
        raise ConfigError(f"{path}.listenerMetadata", "makes sense with listenerPath only")


def uses_notify(seccomp: Mapping[str, Any]) -> bool:
    """Whether a listener has to be made when the filter is loaded."""
    return any(call.get("action") == NOTIFY for call in seccomp.get("syscalls") or [])


def _known(name: object, table: Mapping[str, object], path: str, what: str) -> None:
    if name not in table:
        raise ConfigError(path, f"unknown seccomp {what} {name!r}, expected one of {_list(table)}")


def _list(table: Mapping[str, object]) -> str:
    return ", ".join(sorted(table))


def _errno(action: object, number: object, path: str) -> None:
    if number is None:
        return
    if action not in tables.WITH_ERRNO:
        raise ConfigError(path, f"{action} returns no error number")
    limit = tables.MAX_ERRNO if action == "SCMP_ACT_ERRNO" else 0xFFFF
    if not isinstance(number, int) or not 0 <= number <= limit:
        raise ConfigError(path, f"invalid value {number!r}, expected 0 to {limit}")


def _check_call(call: Mapping[str, Any], path: str) -> None:
    action = call.get("action")
    _known(action, tables.ACTIONS, f"{path}.action", "action")
    _errno(action, call.get("errnoRet"), f"{path}.errnoRet")
    names = call.get("names")
    if not names:
        raise ConfigError(f"{path}.names", "expected at least one system call")
    if action == NOTIFY and "write" in names:
        # runc's rule: an init that hands over the listener has to be able to write.
        raise ConfigError(f"{path}.names", "SCMP_ACT_NOTIFY cannot be used for the write syscall")
    for index, argument in enumerate(call.get("args") or []):
        where = f"{path}.args[{index}]"
        _known(argument.get("op"), tables.OPERATORS, f"{where}.op", "operator")
        if not 0 <= argument.get("index", -1) <= 5:
            raise ConfigError(f"{where}.index", "a system call has arguments 0 to 5")


def action_value(action: str, number: int | None) -> int:
    """The filter's return value; ERRNO and TRACE without a number say EPERM, as with runc."""
    value = tables.ACTIONS[action]
    if action in tables.WITH_ERRNO:
        value |= tables.EPERM if number is None else number
    return value


def load_flags(seccomp: Mapping[str, Any]) -> tuple[int, list[str]]:
    """Flags for seccomp(2), and warnings.

    Without `flags` it is SPEC_ALLOW, as with runc: the mitigation of speculative store bypass
    slows down all of the container. TSYNC changes nothing: the thread that loads is the only one.
    """
    warnings: list[str] = []
    names = seccomp.get("flags")
    if names is None:
        value = tables.FLAG_SPEC_ALLOW
    else:
        value = 0
        for name in names:
            value |= tables.FLAGS[name]
        value &= ~tables.FLAG_TSYNC
    if uses_notify(seccomp):
        value |= tables.FLAG_NEW_LISTENER
    elif value & tables.FLAG_WAIT_KILLABLE_RECV:
        # The kernel would refuse it (EINVAL).
        value &= ~tables.FLAG_WAIT_KILLABLE_RECV
        warnings.append(
            "linux.seccomp.flags: SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV ignored, "
            "no system call's action is SCMP_ACT_NOTIFY"
        )
    return value, warnings
