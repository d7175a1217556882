"""Peers that are no runtimes: supervisors that run crun, and what engines have beside each
container. Whatever they start is ended with their scope, or by the reaper."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.bench.peers import Peer, run, runtimes
from tests.bench.processes import pss
from tests.bench.scene import Scene
from tests.bench.times import Times
from tests.support.waiting import wait_readable

DEADLINE = 30.0
_SUPERVISORS = {"s6": "s6-supervise", "runit": "runsv"}


@contextmanager
def supervisors(scene: Scene, milliseconds: Mapping[str, int]) -> Iterator[dict[str, Times]]:
    """s6-supervise and runsv, as far as they are installed, each with `crun run` as its service.

    milliseconds: how long their programs live. A run of less than a second makes both wait for the
    second to be over.
    """
    found = {}
    with ExitStack() as stack:
        crun = runtimes(scene).get("crun")
        for name, program in _SUPERVISORS.items():
            if crun is None or shutil.which(program) is None:
                continue
            times = stack.enter_context(scene.times(name))
            bundle = scene.bundle(f"service-{name}", times.args(milliseconds[name]))
            service = scene.base / f"service-{name}"
            service.mkdir()
            script = service / "run"
            words = [*crun.argv, "run", "-b", str(bundle), crun.new_id()]
            script.write_text(f"#!/bin/sh\nexec {' '.join(words)}\n")
            script.chmod(0o755)
            stack.enter_context(_running(program, service))
            found[name] = times
        yield found


@contextmanager
def _running(program: str, service: Path) -> Iterator[None]:
    with open(service / "said", "wb") as said:
        process = subprocess.Popen(
            [program, service], stdin=subprocess.DEVNULL, stdout=said, stderr=said
        )
    try:
        yield
    finally:
        process.kill()  # its container ends by itself
        process.wait()


def conmon(scene: Scene, count: int) -> float:
    """KiB of conmon's memory for each container: as podman starts it, with runc below."""
    bundle = scene.bundle("conmon", ["/bin/sleep", "100000"])
    peer = runtimes(scene)["runc"]
    names = [peer.new_id() for _ in range(count)]
    try:
        pids = [_conmon(scene, peer, bundle, name) for name in names]
        for name in names:
            peer.call("start", name)
        return pss(pids) / count
    finally:
        _delete(peer, names)


def _conmon(scene: Scene, peer: Peer, bundle: Path, name: str) -> int:
    """Start one; its process id."""
    directory = scene.base / name
    directory.mkdir()
    reader, writer = os.pipe2(os.O_CLOEXEC)
    words = ["conmon", "--api-version=1", f"--cid={name}", f"--cuuid={name}", f"--name={name}"]
    words += [f"--runtime={peer.argv[0]}", f"--runtime-arg=--root={peer.argv[2]}"]
    words += [f"--bundle={bundle}", f"--container-pidfile={directory}/pid"]
    words += [f"--socket-dir-path={directory}", f"--conmon-pidfile={directory}/conmon"]
    words += [f"--log-path=k8s-file:{directory}/log"]
    try:
        subprocess.run(
            words,
            env={**os.environ, "_OCI_SYNCPIPE": str(writer)},
            pass_fds=[writer],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=DEADLINE,
            check=True,
        )
        os.close(writer)
        writer = -1
        # It has gone to the background, and says on the pipe when the container is there.
        said = b""
        while b"\n" not in said:
            chunk = os.read(reader, 4096) if wait_readable(reader, DEADLINE) else b""
            if not chunk:
                raise RuntimeError(f"conmon ended: {said.decode(errors='replace')}")
            said += chunk
    finally:
        os.close(reader)
        if writer >= 0:
            os.close(writer)
    answer = json.loads(said.partition(b"\n")[0])
    if answer.get("data", answer.get("pid", -1)) <= 0:
        raise RuntimeError(f"conmon: {said.decode(errors='replace')}")
    return int((directory / "conmon").read_text())


def _delete(peer: Peer, names: list[str]) -> None:
    for name in names:
        try:
            peer.call("delete", "--force", name)
        except subprocess.CalledProcessError:
            pass  # it has not come so far


_CONTAINERD = """\
version = 2
root = "{base}/root"
state = "{base}/state"
disabled_plugins = [
  "io.containerd.grpc.v1.cri",
  "io.containerd.snapshotter.v1.aufs",
  "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper",
]
[grpc]
  address = "{base}/socket"
[ttrpc]
  address = "{base}/socket.ttrpc"
"""


def shim(scene: Scene, count: int) -> float:
    """KiB of containerd-shim-runc-v2's memory for each container."""
    base = scene.base / "containerd"
    base.mkdir()
    (base / "config.toml").write_text(_CONTAINERD.format(base=base))
    with open(base / "log", "wb") as log:
        daemon = subprocess.Popen(
            ["containerd", "--config", base / "config.toml"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    ctr = ["ctr", f"--address={base}/socket"]
    names = [f"{scene.tag}-shim-{number}" for number in range(count)]
    try:
        _await_socket(base / "socket", daemon)
        for name in names:
            # Its own configuration asks for controllers that the tree may lack.
            config = scene.config(["/bin/sleep", "100000"])
            config["linux"]["cgroupsPath"] = f"/{name}"
            (base / f"{name}.json").write_text(json.dumps(config))
            run([*ctr, "run", "--detach", f"--config={base}/{name}.json", name], detached=True)
        pids = _named("containerd-shim-runc-v2")
        if len(pids) != count:
            raise RuntimeError(f"{len(pids)} shims for {count} containers")
        return pss(pids) / count
    finally:
        for name in names:
            words = [*ctr, "task", "rm", "--force", name]
            subprocess.run(words, capture_output=True, timeout=DEADLINE)
        daemon.terminate()
        daemon.wait()


def _await_socket(path: Path, daemon: subprocess.Popen[bytes]) -> None:
    pidfd = os.pidfd_open(daemon.pid)
    try:
        for _ in range(int(DEADLINE / 0.1)):
            if path.exists():
                return
            if wait_readable(pidfd, 0.1):
                raise RuntimeError("containerd has ended")
        raise TimeoutError("containerd does not listen")
    finally:
        os.close(pidfd)


def _named(program: str) -> list[int]:
    """Processes of a program in our mount namespace: those of others are none of our business."""
    own = os.readlink("/proc/self/ns/mnt")
    found = []
    for name in filter(str.isdecimal, os.listdir("/proc")):
        try:
            if os.readlink(f"/proc/{name}/ns/mnt") != own:
                continue
            if os.path.basename(os.readlink(f"/proc/{name}/exe")) == program:
                found.append(int(name))
        except OSError:
            pass  # it has ended
    return found
