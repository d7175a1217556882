"""A Swarm of one node: services, whose tasks are containers of the node's default runtime."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.engines.docker import Docker
from tests.engines.engine import IDLE, IMAGE, Place, call, follow, need, read_line_with
from tests.support.mountinfo import mounts
from tests.support.waiting import wait_readable

pytestmark = [pytest.mark.root, pytest.mark.slow]


class Swarm:
    """A dockerd that is its own cluster."""

    def __init__(self, docker: Docker) -> None:
        self.docker = docker
        address = ["--advertise-addr=127.0.0.1", "--listen-addr=127.0.0.1:2377"]
        with follow(["ip", "monitor", "link"]) as changes:
            docker("swarm", "init", *address).ok()
            # Joining goes on in the background, until the network for published ports is there.
            assert changes.stdout is not None
            while "veth" not in call(["ip", "link", "show", "master", "docker_gwbridge"]).stdout:
                assert wait_readable(changes.stdout.fileno()), docker.daemon.tail()
                os.read(changes.stdout.fileno(), 65536)

    def down(self) -> None:
        """Leave the cluster, and remove the bridge that joining it has made."""
        self.docker("swarm", "leave", "--force").ok()
        self.docker("network", "rm", "docker_gwbridge")

    @contextmanager
    def service(self, name: str, *options: str, sh: str = IDLE) -> Iterator[str]:
        """Create a service and wait until all of it runs; it is removed with its containers."""
        words = ["service", "create", "--quiet", f"--name={name}", "--no-resolve-image"]
        # Seconds are for people; the tests look at what has come of it.
        words += ["--update-monitor=1s", "--update-delay=0s", "--restart-delay=0s"]
        words += ["--stop-grace-period=20s", *options, IMAGE, "/bin/sh", "-c", sh]
        try:
            self.docker(*words).ok()
            yield name
        finally:
            left = self.containers(name)
            self.docker("service", "rm", name)
            if left:
                self.docker("wait", *left)

    def update(self, *words: str) -> None:
        """Update a service and wait until that is done."""
        self.docker("service", "update", "--quiet", "--no-resolve-image", *words).ok()

    def containers(self, service: str) -> list[str]:
        """Return the containers of a service that run."""
        label = f"--filter=label=com.docker.swarm.service.name={service}"
        return self.docker("ps", "-q", "--no-trunc", label).ok().stdout.split()

    def inspect(self, service: str) -> list[Any]:
        """Return what inspect says of a service's containers that run; ps lags behind."""
        found = [self.docker.inspect(name) for name in self.containers(service)]
        return [one for one in found if one["State"]["Running"]]

    def events(self, service: str, kind: str) -> Any:
        """Follow what happens to a service's containers, from their beginning; gives their IDs."""
        words = ["events", "--since=10m", f"--filter=event={kind}", "--filter=type=container"]
        words += [f"--filter=label=com.docker.swarm.service.name={service}", "--format={{.ID}}"]
        return self.docker.follow(*words)

    def replicas(self, service: str) -> str:
        """Return how many run of how many."""
        words = ["service", "ls", f"--filter=name={service}", "--format={{.Replicas}}"]
        return self.docker(*words).ok().stdout.strip()


@pytest.fixture(scope="module")
def swarm(place: Place, archive: Path) -> Iterator[Swarm]:
    """Give a cluster of one."""
    need("dockerd", "docker", "containerd")
    place.allowed_in_run |= {"containerd", "docker", "docker.sock"}
    docker = Docker(place, archive, live_restore=False)  # Swarm and live-restore exclude each other
    made = Swarm(docker)
    try:
        docker.run("--network=host", args=["/bin/true"]).ok()
        yield made
    finally:
        made.down()


def test_scale_and_update(swarm: Swarm) -> None:
    """From one to five; then each is replaced, two at a time; then back to two."""
    with swarm.service("crt-web", "--network=host", "--env=TURN=1") as name:
        assert swarm.replicas(name) == "1/1"
        swarm.docker("service", "scale", f"{name}=5").ok()
        assert swarm.replicas(name) == "5/5"
        before = swarm.inspect(name)
        assert len({found["Id"] for found in before}) == 5
        assert {found["HostConfig"]["Runtime"] for found in before} == {swarm.docker.place.runtime}

        swarm.update("--update-parallelism=2", "--env-add=TURN=2", name)
        assert swarm.replicas(name) == "5/5"
        after = swarm.inspect(name)
        assert not {found["Id"] for found in before} & {found["Id"] for found in after}
        for found in after:
            assert swarm.docker("exec", found["Id"], "sh", "-c", "echo $TURN").ok().stdout == "2\n"

        swarm.update("--replicas=2", name)
        with swarm.events(name, "die") as events:  # all five of the first turn, three of the second
            for _ in range(5 + 3):
                assert events.stdout.readline()
        assert len(swarm.inspect(name)) == 2


def test_logs(swarm: Swarm) -> None:
    with swarm.service("crt-log", "--network=host", "--replicas=3") as name:
        for container in swarm.containers(name):
            swarm.docker.wait_log(container)
        lines = swarm.docker("service", "logs", "--raw", name).ok().stdout.splitlines()
        assert lines == ["ready"] * 3


def test_task_that_dies_is_replaced(swarm: Swarm) -> None:
    with swarm.service("crt-die", "--network=host") as name:
        (found,) = swarm.inspect(name)
        with swarm.events(name, "start") as events:
            assert events.stdout.readline().decode().strip() == found["Id"]
            os.kill(found["State"]["Pid"], signal.SIGKILL)
            another = events.stdout.readline().decode().strip()
        assert another != found["Id"]
        assert swarm.docker.inspect(another)["State"]["Running"]


def test_update_that_fails_is_rolled_back(swarm: Swarm) -> None:
    options = ["--network=host", "--replicas=2", "--update-failure-action=rollback"]
    with swarm.service("crt-back", *options, "--rollback-monitor=1s") as name:
        before = swarm.inspect(name)[0]["Config"]["Cmd"]
        words = ["service", "update", "--quiet", "--no-resolve-image", "--args=/nope", name]
        swarm.docker(*words)
        state = swarm.docker("service", "inspect", "--format={{json .UpdateStatus}}", name)
        assert json.loads(state.ok().stdout)["State"] == "rollback_completed"
        assert swarm.replicas(name) == "2/2"
        # Whether the failure was seen before the second task was replaced as well is chance.
        assert [found["Config"]["Cmd"] for found in swarm.inspect(name)] == [before] * 2


def test_limits_secrets_and_configs(swarm: Swarm) -> None:
    docker = swarm.docker
    docker("secret", "create", "crt-secret", "-", stdin=b"hidden").ok()
    docker("config", "create", "crt-config", "-", stdin=b"shown").ok()
    options = ["--network=host", "--secret=crt-secret", "--config=source=crt-config,target=/conf"]
    options += ["--limit-memory=64m", "--limit-pids=20", "--read-only", "--user=1000"]
    try:
        with swarm.service("crt-opt", *options) as name:
            (container,) = swarm.containers(name)
            script = "cat /run/secrets/crt-secret /conf /sys/fs/cgroup/memory/memory.limit_in_bytes"
            done = docker("exec", container, "sh", "-c", f"{script}; id -u; touch /x")
            assert done.stdout == f"hiddenshown{64 << 20}\n1000\n"
            assert "Read-only file system" in done.stderr
    finally:
        docker("secret", "rm", "crt-secret")
        docker("config", "rm", "crt-config")


def test_global_service(swarm: Swarm) -> None:
    with swarm.service("crt-all", "--network=host", "--mode=global") as name:
        assert swarm.replicas(name) == "1/1"


def test_overlay_network(swarm: Swarm) -> None:
    """Tasks reach each other over VXLAN, by the names that Docker's resolver knows."""
    docker = swarm.docker
    before = set(mounts())
    docker("network", "create", "--driver=overlay", "--internal", "crt-over").ok()
    try:
        options = ["--network=crt-over", "--endpoint-mode=dnsrr", "--replicas=2"]
        with swarm.service("crt-net", *options) as name:
            first, second = swarm.inspect(name)
            address = second["NetworkSettings"]["Networks"]["crt-over"]["IPAddress"]
            docker("exec", first["Id"], "ping", "-c", "1", "-W", "10", address).ok()
            docker("exec", first["Id"], "ping", "-c", "1", "-W", "10", "tasks.crt-net").ok()
    finally:
        docker("network", "rm", "crt-over").ok()
    # The cluster has forgotten it; the node forgets it after its containers.
    words = ["events", "--since=10m", "--filter=type=network", "--filter=event=destroy"]
    with docker.follow(*words, "--format={{.Actor.Attributes.name}}") as events:
        read_line_with(events, "crt-over\n")
    for mount in set(mounts()) - before:  # Docker gets around to it within a minute
        assert "/exec/netns/" in mount.target
        call(["umount", mount.target]).ok()
