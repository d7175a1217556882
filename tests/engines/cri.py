"""Drive containerd's CRI socket as a kubelet does, with the calls of Kubernetes' runtime.v1.

Pods have a network namespace of their own; the CNI plugin that should furnish it is a script that
only says it did, and switches the loopback interface on.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from tests.engines.cri_api import METHODS
from tests.engines.engine import IMAGE, PAUSE_IMAGE, Daemon, Place, call
from tests.engines.grpc import CallFailed, Channel
from tests.engines.protobuf import decode, encode
from tests.engines.streams import Streams, streams
from tests.support.mountinfo import cgroup_mounts
from tests.support.waiting import wait_for, wait_text

_CONFIGURATION = """\
version = 2
root = "{directory}/root"
state = "{run}/state"
oom_score = 0
disabled_plugins = [
  "io.containerd.snapshotter.v1.aufs",
  "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.overlayfs",
  "io.containerd.snapshotter.v1.zfs",
]

[grpc]
  address = "{run}/containerd.sock"

[ttrpc]
  address = "{run}/containerd.sock.ttrpc"

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  disable_tcp_service = true
  disable_apparmor = true
  restrict_oom_score_adj = true

  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{directory}/cni/bin"
    conf_dir = "{directory}/cni/conf"

  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "native"
    default_runtime_name = "{runtime}"

    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.{runtime}]
      runtime_type = "io.containerd.runc.v2"

      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.{runtime}.options]
        BinaryName = "{program}"
        SystemdCgroup = false
"""

_PLUGIN = """\
#!/bin/sh
cat >/dev/null
case $CNI_COMMAND in
VERSION) echo '{"cniVersion": "0.4.0", "supportedVersions": ["0.4.0"]}' ;;
ADD)
    case $0 in */loopback) nsenter --net="$CNI_NETNS" ip link set lo up ;; esac
    cat <<ANSWER
{"cniVersion": "0.4.0",
 "interfaces": [{"name": "$CNI_IFNAME", "sandbox": "$CNI_NETNS"}],
 "ips": [{"version": "4", "address": "192.0.2.7/24", "interface": 0}]}
ANSWER
    ;;
esac
"""

CREATED, RUNNING, EXITED = 0, 1, 2  # ContainerState
POD, CONTAINER, NODE = 0, 1, 2  # NamespaceMode


class Cri:
    """containerd with one runtime, by way of its CRI plugin."""

    def __init__(self, place: Place, archives: Sequence[Path]) -> None:
        self.place = place
        self._numbers = itertools.count(1)
        self.logs = place.directory / "logs"
        self.logs.mkdir()
        self._write_network()
        configuration = place.directory / "config.toml"
        configuration.write_text(
            _CONFIGURATION.format(
                directory=place.directory,
                run=place.run,
                pause=PAUSE_IMAGE,
                runtime=place.runtime,
                program=place.program,
            )
        )
        self.socket = place.run / "containerd.sock"
        self.daemon = Daemon(
            ["containerd", "--config", str(configuration)],
            self.socket,
            place.directory / "containerd.log",
        )
        place.daemons.append(self.daemon)
        self.daemon.start()
        ctr = ["ctr", f"--address={self.socket}", "--namespace=k8s.io"]
        for archive in archives:
            call([*ctr, "images", "import", "--snapshotter=native", str(archive)]).ok()
        # The plugin takes in at its start, before it answers, what images there are.
        self.daemon.stop()
        self._start()

    def _write_network(self) -> None:
        for name in ("bin", "conf"):
            (self.place.directory / "cni" / name).mkdir(parents=True)
        for name in ("crt-plugin", "loopback"):
            plugin = self.place.directory / "cni/bin" / name
            plugin.write_text(_PLUGIN)
            plugin.chmod(0o755)
        network = {"cniVersion": "0.4.0", "name": "crt", "type": "crt-plugin"}
        (self.place.directory / "cni/conf/10-crt.conf").write_text(json.dumps(network))

    def reconnect(self) -> None:
        """Restart containerd and call the new one."""
        self.channel.close()
        self.daemon.stop()
        self._start()

    def _start(self) -> None:
        self.daemon.log.write_text("")
        self.daemon.start()
        wait_text(self.daemon.log, "Start streaming server")  # the last of its preparations
        self.channel = Channel(self.socket)
        for _ in range(10000):  # it may still have to note that it is ready
            try:
                self("Version")
                break
            except CallFailed as error:
                assert "not initialized yet" in str(error), error

    def __call__(self, method: str, **request: Any) -> dict[str, Any]:
        """Call a method of the service."""
        asked, answered = METHODS[method]
        message = encode(asked, request)
        return decode(answered, self.channel.call(f"/runtime.v1.RuntimeService/{method}", message))

    @contextmanager
    def pod(self, **namespaces: int) -> Iterator[Pod]:
        """Run a pod; it is stopped and removed with its containers."""
        namespaces.setdefault("pid", CONTAINER)
        name = f"pod-{next(self._numbers)}"
        group = f"{self.place.cgroup}/{name}"
        linux = {
            "cgroup_parent": f"/{group}",
            "security_context": {"namespace_options": namespaces},
        }
        config = {
            "metadata": {"name": name, "uid": name, "namespace": "crt", "attempt": 0},
            "hostname": "" if namespaces.get("network") == NODE else f"crt-{name}",
            "log_directory": str(self.logs),
            "labels": {"crt": "1"},
            "linux": linux,
        }
        handler = self.place.runtime
        made = self("RunPodSandbox", config=config, runtime_handler=handler)["id"]
        try:
            yield Pod(self, made, config, namespaces)
        finally:
            self("StopPodSandbox", id=made)
            self("RemovePodSandbox", id=made)
            for top in cgroup_mounts().values():  # a kubelet's business, too
                (top / group).rmdir()


class Pod:
    """A pod that runs."""

    def __init__(
        self, cri: Cri, name: str, config: dict[str, Any], namespaces: dict[str, int]
    ) -> None:
        self.cri, self.id, self.config, self.namespaces = cri, name, config, namespaces
        self._numbers = itertools.count(1)

    def status(self) -> Any:
        """Return state and addresses; "pid" is its first process."""
        answer = self.cri("PodSandboxStatus", id=self.id, verbose=1)
        return {**answer["status"], "pid": _info(answer)["pid"]}

    def forward(self, port: int) -> AbstractContextManager[Streams]:
        """Connect to a port on the pod's loopback interface."""
        url = self.cri("PortForward", id=self.id, port=[port])["url"]
        return streams(f"{url}?port={port}")

    def create(
        self,
        *,
        sh: str | None = None,
        args: Sequence[str] = (),
        resources: dict[str, int] | None = None,
        security: dict[str, Any] | None = None,
        **config: Any,
    ) -> Container:
        """Create a container in the pod."""
        name = f"c{next(self._numbers)}"
        log = f"{self.config['metadata']['name']}-{name}.log"
        context = {"namespace_options": self.namespaces, **(security or {})}
        config |= {
            "metadata": {"name": name, "attempt": 0},
            "image": {"image": IMAGE},
            "command": ["/bin/sh", "-c", sh] if sh is not None else list(args),
            "log_path": log,
            "linux": {"resources": resources or {}, "security_context": context},
        }
        request = {"pod": self.id, "config": config, "sandbox_config": self.config}
        made = self.cri("CreateContainer", **request)["id"]
        return Container(self.cri, made, self.cri.logs / log)

    def start(self, *, ready: str = "", **config: Any) -> Container:
        """Create and start a container, and wait until it has written a word."""
        container = self.create(**config)
        self.cri("StartContainer", id=container.id)
        if ready:
            wait_for(lambda: ready in container.output(), container.log)
        return container

    def run(self, sh: str, **config: Any) -> str:
        """Run a script in a container of the pod to its end, and return its output."""
        container = self.start(sh=sh, **config)
        status = container.wait()
        assert status["exit_code"] == 0, (status, container.output())
        return container.output()


class Container:
    """A container of a pod."""

    def __init__(self, cri: Cri, name: str, log: Path) -> None:
        self.cri, self.id, self.log = cri, name, log

    def status(self) -> Any:
        """Return state, exit code, reason, message; "pid" while it runs."""
        answer = self.cri("ContainerStatus", id=self.id, verbose=1)
        return {**answer["status"], "pid": _info(answer).get("pid", 0)}

    def output(self, *streams: str) -> str:
        """Return what it has written: each line of its log is time, stream, tag and text."""
        lines = [line.split(" ", 3) for line in self.log.read_text().splitlines()]
        wanted = streams or ("stdout", "stderr")
        return "".join(f"{line[3]}\n" for line in lines if len(line) == 4 and line[1] in wanted)

    def wait(self, reason: str = "") -> Any:
        """Wait for its end, as the plugin notes it down."""

        def ended() -> bool:
            status = self.status()
            return status["state"] == EXITED and reason in status["reason"]

        notes = self.cri.place.directory / "root/io.containerd.grpc.v1.cri/containers" / self.id
        wait_for(ended, notes)
        return self.status()

    def exec(self, *command: str, timeout: int = 0) -> tuple[int, str, str]:
        """Call a program in it; gives exit code, stdout, stderr. timeout: seconds, 0 is none."""
        done = self.cri("ExecSync", id=self.id, cmd=command, timeout=timeout)
        return done["exit_code"], done["stdout"].decode(), done["stderr"].decode()

    def exec_streams(self, *command: str, tty: bool) -> AbstractContextManager[Streams]:
        """Start a program in it with all its streams; a terminal has no stderr of its own."""
        wanted = {"stdin": 1, "stdout": 1, "stderr": int(not tty), "tty": int(tty)}
        return streams(self.cri("Exec", id=self.id, cmd=command, **wanted)["url"])

    def attach(self, *, tty: bool) -> AbstractContextManager[Streams]:
        """Connect to the streams of its first program."""
        wanted = {"stdin": 1, "stdout": 1, "stderr": int(not tty), "tty": int(tty)}
        return streams(self.cri("Attach", id=self.id, **wanted)["url"])

    def stop(self, timeout: int) -> Any:
        """Stop it, with so many seconds between SIGTERM and SIGKILL; gives its status."""
        self.cri("StopContainer", id=self.id, timeout=timeout)
        return self.status()


def _info(answer: dict[str, Any]) -> Any:
    return json.loads({entry["key"]: entry["value"] for entry in answer["info"]}["info"])
