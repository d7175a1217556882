"""The six stages of hooks in a real life cycle: order, state, place, failure."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.bundle import Bundle
from tests.support.inside import IDLE, launched, message
from tests.support.runtimes import Runtime

pytestmark = pytest.mark.root

Bundles = Callable[..., Bundle]

OUTSIDE = ("prestart", "createRuntime", "createContainer", "poststart", "poststop")
STAGES = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")


def sh(script: str, **more: Any) -> dict[str, Any]:
    return {"path": "/bin/sh", "args": ["sh", "-c", script], **more}


def recording(made: Bundle) -> Path:
    """Every stage writes the state it got, its directory and its descriptors; inside too."""
    log = made.path / "log"
    log.mkdir()
    (made.rootfs / "log").mkdir()
    hooks = {}
    for stage in STAGES:
        at = "/log" if stage == "startContainer" else str(log)
        script = (
            f"cat >{at}/{stage}.json; pwd >{at}/{stage}.cwd; ls /proc/self/fd >{at}/{stage}.fd; "
            f"env >{at}/{stage}.env; echo {stage} >>{at}/order"
        )
        hooks[stage] = [sh(script, env=["PATH=/bin:/usr/bin", f"STAGE={stage}"])]
    made.patch({"hooks": hooks, "root": {"readonly": False}})
    return log


def test_all_six_stages(runtime: Runtime, bundle: Bundles, container_id: str) -> None:
    made = bundle({"annotations": {"a": "b"}}, sh=IDLE)
    log = recording(made)
    order = log / "order"
    runtime.run(["create", "-b", made, container_id]).ok()
    pid = runtime.pid(container_id)
    assert order.read_text().split()[:3] == ["prestart", "createRuntime", "createContainer"]
    if runtime.name == "creche":  # runc 1.1 runs poststart hooks here already
        assert len(order.read_text().split()) == 3
    runtime.run(["start", container_id]).ok()
    assert order.read_text().split()[3:] == ["poststart"]
    assert (made.rootfs / "log/order").read_text() == "startContainer\n"
    runtime.run(["delete", "--force", container_id]).ok()
    assert order.read_text().split()[4:] == ["poststop"]

    found = {}
    for stage in STAGES:
        at = made.rootfs / "log" if stage == "startContainer" else log
        found[stage] = json.loads((at / f"{stage}.json").read_text())
        assert found[stage]["id"] == container_id
        assert found[stage]["bundle"] == str(made)
        assert found[stage]["annotations"] == {"a": "b"}
        variables = (at / f"{stage}.env").read_text().splitlines()
        assert f"STAGE={stage}" in variables
        assert not any(line.startswith(("HOME=", "TERM=")) for line in variables)
        if runtime.name == "creche":
            # 0, 1, 2 and ls' own.
            assert (at / f"{stage}.fd").read_text().split() == ["0", "1", "2", "3"], stage
    assert [found[stage]["pid"] for stage in ("prestart", "createRuntime", "poststart")] == [
        pid
    ] * 3
    directory = {stage: (log / f"{stage}.cwd").read_text().strip() for stage in OUTSIDE}
    assert directory["createRuntime"] == str(made)
    assert directory["createContainer"] == str(made.rootfs)
    if runtime.name == "creche":
        assert [found[stage]["status"] for stage in STAGES] == [
            "creating", "creating", "creating", "created", "running", "stopped",
        ]  # fmt: skip
        # What the receiver sees: the number inside for hooks inside.
        assert found["createContainer"]["pid"] == found["startContainer"]["pid"] == 1
        assert set(directory.values()) == {str(made), str(made.rootfs)}
        assert (made.rootfs / "log/startContainer.cwd").read_text() == "/\n"


def test_hooks_are_in_the_namespaces_of_their_stage(
    runtime: Runtime, bundle: Bundles, container_id: str
) -> None:
    made = bundle({"root": {"readonly": False}}, sh="true")
    script = (
        "readlink /proc/self/ns/mnt /proc/self/ns/uts >{at}/{stage} 2>&1; hostname >>{at}/{stage}"
    )
    log = made.path / "log"
    log.mkdir()
    (made.rootfs / "log").mkdir()
    hooks = {}
    for stage in STAGES:
        at = "/log" if stage == "startContainer" else str(log)
        script = f"for n in mnt uts net; do readlink /proc/self/ns/$n >>{at}/{stage}; done"
        hooks[stage] = [sh(script, env=["PATH=/bin:/usr/bin"])]
    made.patch({"hooks": hooks})
    runtime.run(["run", "-b", made, container_id]).ok()
    host = [os.readlink(f"/proc/self/ns/{kind}") for kind in ("mnt", "uts", "net")]

    for stage in ("prestart", "createRuntime", "poststart", "poststop"):
        assert (log / stage).read_text().split() == host, stage
    inside = (made.rootfs / "log/startContainer").read_text().split()
    assert not set(inside) & set(host)
    assert (log / "createContainer").read_text().split() == inside


@pytest.mark.parametrize("stage", STAGES[:5])
def test_a_failing_hook_ends_it_in_runcs_words(
    runtime: Runtime, bundle: Bundles, container_id: str, stage: str
) -> None:
    """The failing one is named by its place in the list; poststop hooks run; nothing is left."""
    made = bundle({"root": {"readonly": False}}, sh="echo Hello World")
    (made.rootfs / "stopped").mkdir()
    bad = sh("echo seen; echo said >&2; exit 3", env=["PATH=/bin:/usr/bin"])
    made.patch(
        {
            "hooks": {
                stage: [sh("true"), bad, sh("echo third >/tmp/never-run")],
                "poststop": [sh(f"echo stopped >{made.path}/stopped")],
            }
        }
    )
    result = runtime.run(["run", "-b", made, container_id]).failed()

    if runtime.name == "creche":
        text = message(result)
        assert f"error running {stage} hook #1: exit status 3" in text
        assert "stdout: seen" in text
        assert "stderr: said" in text
    else:  # runc 1.1 does not name the stage yet
        assert "error running hook #1: error running hook: exit status 3" in result.stderr
    if stage != "poststart":
        assert "Hello World" not in result.stdout
    assert not runtime.exists(container_id)
    assert not Path("/tmp/never-run").exists()
    if runtime.name == "creche":
        assert result.rc == 1
        assert (made.path / "stopped").read_text() == "stopped\n"


@pytest.mark.parametrize("stage", ["createRuntime", "createContainer", "startContainer"])
def test_a_hook_that_overruns_is_killed_whole(
    creche: Runtime, bundle: Bundles, container_id: str, stage: str
) -> None:
    """The harness sees whether a grandchild lives on."""
    hook = sh("sleep 1000 & sleep 1000", timeout=1, env=["PATH=/bin:/usr/bin"])
    made = bundle({"hooks": {stage: [hook]}})
    result = creche.run(["run", "-b", made, container_id]).failed(1)

    assert f"error running {stage} hook #0: timed out after 1s" in message(result)
    assert not creche.exists(container_id)


def test_a_failing_poststop_hook_is_a_warning_and_the_rest_run(
    creche: Runtime, bundle: Bundles, container_id: str
) -> None:
    made = bundle(sh=IDLE)
    made.patch(
        {"hooks": {"poststop": [sh("exit 5"), {"path": "/nowhere"}, sh(f"touch {made.path}/ran")]}}
    )
    launched(creche, container_id, made)
    result = creche.run(["delete", "--force", container_id]).ok()

    assert "error running poststop hook #0: exit status 5" in result.stderr
    assert "error running poststop hook #1" in result.stderr
    assert "level=warning" in result.stderr
    assert (made.path / "ran").exists()


def test_a_failing_poststart_hook_ends_a_started_container(
    creche: Runtime, bundle: Bundles, container_id: str
) -> None:
    made = bundle({"hooks": {"poststart": [sh("exit 1")]}}, sh=IDLE)
    creche.run(["create", "-b", made, container_id]).ok()
    pid = creche.pid(container_id)
    result = creche.run(["start", container_id]).failed(1)

    assert "error running poststart hook #0: exit status 1, stdout: , stderr: " in message(result)
    assert not Path(f"/proc/{pid}").exists() or not Path(f"/proc/{pid}/exe").exists()
    assert not creche.exists(container_id)


def test_hooks_of_a_container_that_was_never_started(
    runtime: Runtime, bundle: Bundles, container_id: str
) -> None:
    made = bundle()
    made.patch({"hooks": {"poststop": [sh(f"cat >{made.path}/stopped")]}})
    runtime.run(["create", "-b", made, container_id]).ok()
    runtime.run(["delete", container_id]).ok()

    assert json.loads((made.path / "stopped").read_text())["status"] == "stopped"


def test_arguments_are_handed_on_as_they_are(
    runtime: Runtime, bundle: Bundles, container_id: str
) -> None:
    """args[0] need not be the path; without args it is."""
    made = bundle()
    script = made.script("hook", f'cat /proc/self/cmdline | tr "\\0" "|" >>{made.path}/seen')
    (made.path / "names").write_text("")
    hook = {
        "path": "/bin/sh",
        "args": ["strange", "-c", f'echo "$0 $1" >{made.path}/names', "a", "b"],
    }
    made.patch({"hooks": {"createRuntime": [hook, {"path": str(script)}]}})
    runtime.run(["run", "-b", made, container_id]).ok()

    assert (made.path / "names").read_text() == "a b\n"


def test_a_hook_can_find_the_containers_namespaces(
    runtime: Runtime, bundle: Bundles, container_id: str
) -> None:
    """What docker's network hook does: it uses the pid it is told."""
    made = bundle()
    script = f"""
pid=$(sed 's/.*"pid": *\\([0-9]*\\).*/\\1/'); readlink /proc/$pid/ns/net >{made.path}/net
"""
    made.patch({"hooks": {"prestart": [sh(script, env=["PATH=/bin:/usr/bin"])]}})
    runtime.run(["run", "-b", made, container_id]).ok()

    name = (made.path / "net").read_text().strip()
    assert name.startswith("net:[")
    assert name != os.readlink("/proc/self/ns/net")


def test_a_start_hook_is_under_the_filter(
    creche: Runtime, bundle: Bundles, container_id: str
) -> None:
    """runc too runs startContainer hooks with the process' own seccomp filter."""
    profile = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_KILL_PROCESS"}],
    }
    made = bundle({"linux": {"seccomp": profile}})
    made.patch({"hooks": {"startContainer": [{"path": "/bin/mkdir", "args": ["mkdir", "/tmp/x"]}]}})
    result = creche.run(["run", "-b", made, container_id]).failed(1)

    assert "error running startContainer hook #0: signal: bad system call" in message(result)


def test_poststop_hooks_run_though_the_bundle_has_gone(
    runtime: Runtime, bundle: Bundles, container_id: str, tmp_path: Path
) -> None:
    """What they clean up outlives the bundle."""
    said = tmp_path / "said"
    hook = sh(f"pwd >{said}", env=["PATH=/bin:/usr/bin"])
    made = bundle({"hooks": {"poststop": [hook]}}, args=["/bin/sleep", "1000"])
    runtime.run(["run", "-d", "-b", made, container_id], cwd="/").ok()
    made.path.rename(tmp_path / "elsewhere")
    runtime.run(["delete", "--force", container_id], cwd="/").ok()

    assert said.read_text() == "/\n"
