"""containerd's CRI socket: pods and containers as a kubelet asks for them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engines.cri import CREATED, EXITED, NODE, POD, RUNNING, Cri, Pod
from tests.engines.engine import FEED, HUNGRY, IDLE, STUBBORN, Place, need, own_cgroups
from tests.engines.grpc import CallFailed
from tests.engines.streams import STDERR

pytestmark = [pytest.mark.root, pytest.mark.slow]


@pytest.fixture(scope="module")
def cri(place: Place, archive: Path, pause_archive: Path) -> Iterator[Cri]:
    """Give a containerd with the images of a container and of a pod."""
    need("containerd", "ctr", "containerd-shim-runc-v2")
    place.allowed_in_run |= {"containerd"}
    made = Cri(place, [archive, pause_archive])
    try:
        with made.pod() as pod:  # makes what stays as long as containerd runs
            pod.run("true")
        yield made
    finally:
        made.channel.close()


@pytest.fixture
def pod(cri: Cri) -> Iterator[Pod]:
    """Give a pod."""
    with cri.pod() as made:
        yield made


def namespaces(pid: int, *kinds: str) -> list[str]:
    """Return the namespaces of a process."""
    return [os.readlink(f"/proc/{pid}/ns/{kind}") for kind in kinds]


def test_status(cri: Cri) -> None:
    assert cri("Version")["name"] == "containerd"
    conditions = {one["type"]: one["status"] for one in cri("Status")["status"]["conditions"]}
    assert conditions == {"RuntimeReady": 1, "NetworkReady": 1}


def test_handler_that_nobody_has_set_up(cri: Cri) -> None:
    config = {"metadata": {"name": "no", "uid": "no", "namespace": "crt", "attempt": 0}}
    with pytest.raises(CallFailed, match="nosuch"):
        cri("RunPodSandbox", config=config, runtime_handler="nosuch")


def test_pod(cri: Cri) -> None:
    with cri.pod() as pod:
        status = pod.status()
        assert (status["state"], status["network"]["ip"]) == (0, "192.0.2.7")
        shared = ("net", "ipc", "uts", "pid")
        own = namespaces(status["pid"], *shared)
        assert not set(own) & set(namespaces(os.getpid(), *shared))
        cri("StopPodSandbox", id=pod.id)
        assert pod.status()["state"] == 1
        cri("StopPodSandbox", id=pod.id)  # a kubelet does it again


def test_container(cri: Cri, pod: Pod) -> None:
    container = pod.create(sh="echo out; echo err >&2; exit 7")
    assert container.status()["state"] == CREATED
    cri("StartContainer", id=container.id)
    status = container.wait()
    assert (status["exit_code"], status["reason"]) == (7, "Error")
    assert (container.output("stdout"), container.output("stderr")) == ("out\n", "err\n")
    cri("RemoveContainer", id=container.id)
    assert cri("ListContainers")["containers"] == []


def test_container_that_completes(pod: Pod) -> None:
    status = pod.start(sh="true").wait()
    assert (status["exit_code"], status["reason"]) == (0, "Completed")


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("/nope", "no such file or directory"),
        ("nope", "executable file not found in $PATH"),
        ("/noexec", "permission denied"),
    ],
    ids=["missing", "not_in_path", "not_executable"],
)
def test_program_that_cannot_run(pod: Pod, cri: Cri, command: str, words: str) -> None:
    container = pod.create(args=[command])
    with pytest.raises(CallFailed) as failed:
        cri("StartContainer", id=container.id)
    assert words in str(failed.value)
    status = container.status()
    assert (status["state"], status["exit_code"]) == (EXITED, 128)
    assert status["reason"] == "StartError"
    assert words in status["message"]


def test_exec(pod: Pod) -> None:
    container = pod.start(sh=IDLE, ready="ready", envs=[{"key": "A", "value": "b c"}])
    done = container.exec("sh", "-c", "echo $A; echo err >&2; exit 8")
    assert done == (8, "b c\n", "err\n")
    assert container.exec("cat", "/proc/1/comm") == (0, "sh\n", "")
    with pytest.raises(CallFailed, match="no such file or directory"):
        container.exec("/nope")
    with pytest.raises(CallFailed, match=r"timed out|deadline|timeout"):
        container.exec("sleep", "999", timeout=1)
    assert "sleep 999" not in container.exec("ps")[1]


def test_exec_with_streams(pod: Pod) -> None:
    """`kubectl exec -i`: the kubelet hands on an address, and the streams go over a WebSocket."""
    container = pod.start(sh=IDLE, ready="ready")
    script = "read line; echo got $line; echo err >&2; exit 8"
    with container.exec_streams("sh", "-c", script, tty=False) as streams:
        streams.write(b"it\n")
        assert streams.read_until(b"\n") == b"got it\n"
        assert streams.read_until(b"\n", STDERR) == b"err\n"
        assert streams.read_status()[0] == 8
    with container.exec_streams("/nope", tty=False) as streams:
        code, words = streams.read_status()
        assert code != 0
        assert "no such file or directory" in words


def test_exec_terminal(pod: Pod) -> None:
    """`kubectl exec -it`, with a window that changes its size."""
    container = pod.start(sh=IDLE, ready="ready")
    script = (
        "tty; trap 'stty size' WINCH; trap 'exit 5' INT; echo sized; while :; do sleep 0.1; done"
    )
    with container.exec_streams("sh", "-c", script, tty=True) as streams:
        streams.read_until(b"/dev/pts/")
        streams.read_until(b"sized")
        streams.resize(40, 120)
        streams.read_until(b"40 120")
        streams.write(b"\x03")
        assert streams.read_status()[0] == 5


def test_attach(pod: Pod) -> None:
    """`kubectl run -it`: a container with a terminal, whose streams are joined later."""
    script = "tty; read line; echo got $line; read line; exit 4"
    container = pod.start(sh=script, tty=1, stdin=1, ready="/dev/pts/")
    with container.attach(tty=True) as streams:
        streams.write(b"hello\r")
        streams.read_until(b"got hello")
        streams.write(b"\r")
        assert container.wait()["exit_code"] == 4


def test_forwarded_port(pod: Pod) -> None:
    """`kubectl port-forward`: containerd connects in the network namespace of the pod."""
    script = "nc -ll -p 1234 -e echo hello & until grep -q :04D2 /proc/net/tcp*; do :; done; "
    pod.start(sh=f"{script} echo ready; wait", ready="ready")
    with pod.forward(1234) as streams:
        port = (1234).to_bytes(2, "little")
        assert streams.read_until(b"hello\n", channel=0) == port + b"hello\n"


def test_stop(pod: Pod) -> None:
    status = pod.start(sh=IDLE, ready="ready").stop(timeout=30)
    assert (status["state"], status["exit_code"], status["reason"]) == (EXITED, 3, "Error")
    status = pod.start(sh=STUBBORN, ready="ready").stop(timeout=1)
    assert (status["state"], status["exit_code"]) == (EXITED, 137)


def test_stop_of_a_pod_that_runs(cri: Cri) -> None:
    """What still runs in it is killed."""
    with cri.pod() as pod:
        container = pod.start(sh=STUBBORN, ready="ready")
        cri("StopPodSandbox", id=pod.id)
        status = container.wait()
        assert status["exit_code"] == 137


def test_out_of_memory(pod: Pod) -> None:
    limit = 16 << 20
    resources = {"memory_limit_in_bytes": limit, "memory_swap_limit_in_bytes": limit}
    container = pod.start(sh=f"{HUNGRY} exit $?", ready="ready", resources=resources)
    assert container.exec(*FEED)[0] == 0
    assert container.wait("OOMKilled")["exit_code"] == 137


def test_limits_and_update(cri: Cri, pod: Pod) -> None:
    resources = {"memory_limit_in_bytes": 64 << 20, "cpu_period": 100000, "cpu_quota": 50000}
    container = pod.start(sh=IDLE, ready="ready", resources=resources)
    own = own_cgroups(container.status()["pid"])
    memory, quota = own["memory"] / "memory.limit_in_bytes", own["cpu"] / "cpu.cfs_quota_us"
    assert (memory.read_text(), quota.read_text()) == (f"{64 << 20}\n", "50000\n")
    assert f"/{pod.config['metadata']['name']}/" in str(memory)
    changed = {"memory_limit_in_bytes": 32 << 20, "cpu_quota": 25000}
    cri("UpdateContainerResources", id=container.id, linux=changed)
    assert (memory.read_text(), quota.read_text()) == (f"{32 << 20}\n", "25000\n")
    stats = cri("ContainerStats", id=container.id)["stats"]
    assert stats["memory"]["value"]["value"] > 0
    assert stats["cpu"]["value"]["value"] > 0


def test_containers_of_a_pod(pod: Pod) -> None:
    """They share network, IPC and host name, and have mounts and processes of their own."""
    first, second = (pod.start(sh=IDLE, ready="ready") for _ in range(2))
    pids = [pod.status()["pid"], first.status()["pid"], second.status()["pid"]]
    shared = [namespaces(pid, "net", "ipc", "uts") for pid in pids]
    assert shared[0] == shared[1] == shared[2]
    assert len({namespaces(pid, "mnt")[0] for pid in pids}) == 3
    assert first.exec("hostname")[1] == f"{pod.config['hostname']}\n"
    first.exec("touch", "/dev/shm/common")
    assert second.exec("ls", "/dev/shm")[1] == "common\n"


def test_shared_processes(cri: Cri) -> None:
    with cri.pod(pid=POD) as pod:
        container = pod.start(sh=IDLE, ready="ready")
        assert "sleep" in container.exec("cat", "/proc/1/comm")[1]
        assert container.stop(timeout=30)["exit_code"] == 3


def test_namespaces_of_the_node(cri: Cri) -> None:
    with cri.pod(network=NODE, pid=NODE, ipc=NODE) as pod:
        pid = pod.start(sh=IDLE, ready="ready").status()["pid"]
        kinds = ("net", "ipc", "pid")
        assert namespaces(pid, *kinds) == namespaces(os.getpid(), *kinds)


def test_security(pod: Pod, tmp_path: Path) -> None:
    (tmp_path / "in").write_text("inside\n")
    tmp_path.chmod(0o755)
    security = {
        "capabilities": {"drop_capabilities": ["ALL"], "add_capabilities": ["NET_BIND_SERVICE"]},
        "run_as_user": {"value": 1000},
        "run_as_group": {"value": 1000},
        "supplemental_groups": [5],
        "readonly_rootfs": 1,
        "no_new_privs": 1,
        "masked_paths": ["/proc/kcore"],
    }
    script = (
        "id -u; id -G; cat /v/in; touch /x /v/x; grep -E '^(CapBnd|NoNewPrivs):' /proc/self/status"
    )
    mount = {"container_path": "/v", "host_path": str(tmp_path), "readonly": 1}
    container = pod.start(sh=script, security=security, mounts=[mount])
    assert container.wait()["exit_code"] == 0
    lines = container.output("stdout").split()
    assert lines[:4] == ["1000", "1000", "5", "inside"]
    assert lines[4:] == ["CapBnd:", f"{1 << 10:016x}", "NoNewPrivs:", "1"]
    assert container.output("stderr").count("Read-only file system") == 2


def test_restart_of_containerd(
    place: Place, archive: Path, pause_archive: Path, tmp_path: Path
) -> None:
    """Pods outlive it, and the next one knows them."""
    need("containerd", "ctr", "containerd-shim-runc-v2")
    with place.another(tmp_path) as other:
        cri = Cri(other, [archive, pause_archive])
        try:
            with cri.pod() as pod:
                container = pod.start(sh=IDLE, ready="ready")
                cri.reconnect()
                assert container.status()["state"] == RUNNING
                assert container.exec("echo", "here") == (0, "here\n", "")
                assert container.stop(timeout=30)["exit_code"] == 3
        finally:
            cri.channel.close()
