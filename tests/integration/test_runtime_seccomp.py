"""Seccomp profiles in force inside a container, seen from the program."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from runtime.seccomp.libseccomp import version
from tests.support.bundle import Bundle
from tests.support.inside import IDLE, ask, launched, parse_status
from tests.support.runtimes import Runtime

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(version() is None, reason="needs libseccomp.so.2"),
]

Bundles = Callable[..., Bundle]


def profile(default: str, *rules: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"defaultAction": default, "syscalls": list(rules), **more}


def rule(action: str, *names: str, **more: Any) -> dict[str, Any]:
    return {"names": list(names), "action": action, **more}


DENY_MKDIR = profile("SCMP_ACT_ALLOW", rule("SCMP_ACT_ERRNO", "mkdir", "mkdirat", errnoRet=28))
KILL_MKDIR = profile("SCMP_ACT_ALLOW", rule("SCMP_ACT_KILL_PROCESS", "mkdir", "mkdirat"))


@pytest.mark.parametrize("no_new_privileges", [True, False])
@pytest.mark.parametrize("uid", [0, 1000])
def test_errno(
    runtime: Runtime, bundle: Bundles, container_id: str, no_new_privileges: bool, uid: int
) -> None:
    """With no_new_privs and without, as root and as another: the filter holds."""
    made = bundle({"linux": {"seccomp": DENY_MKDIR}, "root": {"readonly": False}})
    made.patch({"process": {"noNewPrivileges": no_new_privileges}})
    made.patch({"process": {"user": {"uid": uid, "gid": uid}}})
    inside = ask(
        runtime, made, container_id, m="mkdir /tmp/x", s="cat /proc/self/status", f="touch /tmp/f"
    )
    found = parse_status(inside["s"])

    assert "No space left on device" in inside["m"]
    assert inside["f"] == ""
    assert (found["Seccomp"], found["Seccomp_filters"]) == ("2", "1")
    assert found["NoNewPrivs"] == str(int(no_new_privileges))
    assert int(found["CapPrm"], 16) & 1 << 21 == 0  # no CAP_SYS_ADMIN left over from loading
    assert int(found["CapBnd"], 16) & 1 << 21 == 0


@pytest.mark.parametrize("no_new_privileges", [True, False])
def test_kill(
    runtime: Runtime, bundle: Bundles, container_id: str, no_new_privileges: bool
) -> None:
    made = bundle({"linux": {"seccomp": KILL_MKDIR}}, args=["/bin/mkdir", "/tmp/x"])
    made.patch({"process": {"noNewPrivileges": no_new_privileges}})
    result = runtime.run(["run", "-b", made, container_id])

    assert result.rc == 128 + 31, result.describe()  # SIGSYS


# What busybox' true needs beside execve, measured; not getcwd, openat, close, prctl, capget ….
NEEDED = (
    *("execve", "exit_group", "exit", "arch_prctl", "brk", "set_tid_address", "set_robust_list"),
    *("rseq", "prlimit64", "getrandom", "mprotect", "readlink", "readlinkat", "getuid", "prctl"),
    *("mmap", "munmap", "newfstatat", "fstat", "uname"),
)


@pytest.mark.parametrize("no_new_privileges", [True, False])
def test_only_what_the_program_itself_needs(
    creche: Runtime, bundle: Bundles, container_id: str, no_new_privileges: bool
) -> None:
    """The runtime does nothing forbidden once the filter holds.

    Without no_new_privs one call follows the loading, to give back CAP_SYS_ADMIN: capset.
    """
    names = NEEDED if no_new_privileges else (*NEEDED, "capset")
    seccomp = profile("SCMP_ACT_KILL_PROCESS", rule("SCMP_ACT_ALLOW", *names))
    made = bundle({"linux": {"seccomp": seccomp}}, args=["/bin/true"])
    made.patch({"process": {"noNewPrivileges": no_new_privileges}})
    creche.run(["run", "-b", made, container_id]).ok()


def test_a_filter_that_denies_what_runtimes_like_to_call(
    runtime: Runtime, bundle: Bundles, container_id: str
) -> None:
    """runc's own test: close_range, openat2, mount_setattr and the like fail for everybody."""
    denied = (
        *("close_range", "openat2", "mount_setattr", "move_mount", "open_tree", "fsopen"),
        *("fsconfig", "fsmount", "personality", "pidfd_open", "clone3", "faccessat2"),
    )
    seccomp = profile("SCMP_ACT_ALLOW", rule("SCMP_ACT_ERRNO", *denied))
    made = bundle({"linux": {"seccomp": seccomp}}, sh=IDLE)
    launched(runtime, container_id, made)

    assert runtime.run(["exec", container_id, "echo", "x"]).ok().stdout == "x\n"


def test_exec_is_under_the_same_filter(
    runtime: Runtime, bundle: Bundles, container_id: str
) -> None:
    launched(runtime, container_id, bundle({"linux": {"seccomp": DENY_MKDIR}}, sh=IDLE))
    result = runtime.run(["exec", container_id, "mkdir", "/dev/shm/x"]).failed(1)

    assert "No space left on device" in result.stderr
    # A process of its own, with what is forbidden to it.
    assert runtime.run(["exec", container_id, "true"]).rc == 0


def test_names_that_this_kernel_does_not_have_are_skipped(
    runtime: Runtime, bundle: Bundles, container_id: str
) -> None:
    seccomp = profile(
        "SCMP_ACT_ALLOW", rule("SCMP_ACT_ERRNO", "frobnicate", "mkdir", "mkdirat", errnoRet=1)
    )
    made = bundle({"linux": {"seccomp": seccomp}, "root": {"readonly": False}})

    assert "not permitted" in ask(runtime, made, container_id, m="mkdir /tmp/x")["m"]


def test_arguments_are_looked_at(runtime: Runtime, bundle: Bundles, container_id: str) -> None:
    seccomp = profile(
        "SCMP_ACT_ALLOW",
        rule(
            "SCMP_ACT_ERRNO",
            "kill",
            errnoRet=28,
            args=[{"index": 1, "value": 10, "op": "SCMP_CMP_EQ"}],
        ),
    )
    made = bundle({"linux": {"seccomp": seccomp}})
    inside = ask(runtime, made, container_id, one="kill -10 $$", other="kill -0 $$ && echo ok")

    assert "No space left" in inside["one"]
    assert inside["other"] == "ok"
