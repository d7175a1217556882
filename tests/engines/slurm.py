"""Drive a private Slurm: a controller and two nodes, all on this machine.

The daemons talk to each other over an address of their own, on a pair of virtual interfaces in the
tests' network namespace: Slurm hands addresses on, and 127.0.0.1 is a different node on each.
"""

from __future__ import annotations

import itertools
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.engines.engine import ENVIRONMENT, Daemon, Place, Process, background, call
from tests.support.bundle import Bundle, Patch, make_bundle
from tests.support.network import ip
from tests.support.runtimes import Result
from tests.support.waiting import wait_text

NODES = ("crt-n1", "crt-n2")
_ADDRESS, _VETH = "192.168.77.1", "crt-slurm"

# Processes are tracked by their group: what cancels a step then reaches the runtime, and the
# container only through it. KillWait: seconds between SIGTERM and SIGKILL. config_overrides: a node
# has as many CPUs as is said here.
_CONFIGURATION = """\
ClusterName=crt
SlurmctldHost={host}({address})
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={run}/munge.socket
CredType=cred/munge
SlurmctldPidFile={run}/slurmctld.pid
SlurmdPidFile={run}/%n.pid
StateSaveLocation={directory}/state
SlurmdSpoolDir={directory}/spool.%n
SlurmctldPort=6817
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SlurmdParameters=config_overrides
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerType=sched/builtin
SchedulerParameters=batch_sched_delay=0,sched_interval=1
ReturnToService=2
KillWait=2
SlurmctldDebug=verbose
SlurmdDebug=verbose
"""

_NODE = "NodeName={name} NodeHostname={host} NodeAddr={address} Port={port} CPUs=4 State=UNKNOWN\n"

# exec: the shell that Slurm calls would die of signals that are meant for the program.
_RUNTIME = """\
RunTimeQuery="{program} --root={root} state %n.%u.%j.%s.%t"
RunTimeKill="{program} --root={root} kill -a %n.%u.%j.%s.%t"
RunTimeDelete="{program} --root={root} delete --force %n.%u.%j.%s.%t"
RunTimeRun="exec {program} --root={root} run %n.%u.%j.%s.%t -b %b"
"""


class Slurm:
    """A cluster with one runtime."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self._numbers = itertools.count(1)
        self.states = place.run / "states"
        self.environment = {**ENVIRONMENT, "SLURM_CONF": str(self._configure())}
        ip("link", "add", "name", _VETH, "type", "veth", "peer", "name", f"{_VETH}g")
        for name in (_VETH, f"{_VETH}g"):
            ip("link", "set", name, "up")
        ip("addr", "add", f"{_ADDRESS}/24", "dev", _VETH)
        self._start_munge()
        controller = self._start("slurmctld", "slurmctld.pid", "slurmctld", "-D")
        wait_text(controller.log, "Running as primary controller")
        self.nodes = [
            self._start(node, f"{node}.pid", "slurmd", "-D", "-N", node) for node in NODES
        ]

    def down(self) -> None:
        """Stop everything, then remove the interfaces."""
        self.place.end()
        ip("link", "del", _VETH)

    def wait_for_nodes(self, bundle: Bundle) -> None:
        """Wait until a step has run on both; what the daemons say is the message otherwise."""
        try:
            self("srun", "-N2", f"--container={bundle}", "/bin/true").ok()
        except (AssertionError, subprocess.TimeoutExpired) as error:
            tails = [daemon.tail() for daemon in self.place.daemons]
            raise AssertionError("\n\n".join([str(error), *tails])) from None

    def _configure(self) -> Path:
        directory, run, host = self.place.directory, self.place.run, os.uname().nodename
        (directory / "state").mkdir()
        text = _CONFIGURATION.format(directory=directory, run=run, host=host, address=_ADDRESS)
        for number, name in enumerate(NODES):
            (directory / f"spool.{name}").mkdir()
            text += _NODE.format(name=name, host=host, address=_ADDRESS, port=17001 + number)
        text += f"PartitionName=crt Nodes={','.join(NODES)} Default=YES State=UP\n"
        (directory / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\n")
        runtime = _RUNTIME.format(program=self.place.program, root=self.states)
        (directory / "oci.conf").write_text(runtime)
        file = directory / "slurm.conf"
        file.write_text(text)
        return file

    def _start(self, name: str, ready: str, *argv: str) -> Daemon:
        log = self.place.directory / f"{name}.log"
        daemon = Daemon(argv, self.place.run / ready, log)
        self.place.daemons.append(daemon)
        daemon.start(self.environment)
        return daemon

    def _start_munge(self) -> None:
        directory, run = self.place.directory, self.place.run
        key = directory / "munge.key"
        key.touch(0o600)
        key.write_bytes(os.urandom(1024))
        # --force: it does not like sockets in directories that it has not seen protected.
        files = {"key-file": key, "seed-file": directory / "munge.seed"}
        files |= {"pid-file": run / "munge.pid", "log-file": directory / "munge.txt"}
        files |= {"socket": run / "munge.socket"}
        options = [f"--{option}={path}" for option, path in files.items()]
        self._start("munged", "munge.socket", "munged", "--foreground", "--force", *options)

    def __call__(self, *argv: str, stdin: bytes | None = None) -> Result:
        """Call one of Slurm's commands."""
        return call(argv, stdin=stdin, env=self.environment, cwd=self.place.directory)

    def bundle(self, name: str, patch: Patch = None) -> Bundle:
        """Make a bundle for jobs to run in."""
        return make_bundle(self.place.directory / name, patch)

    @contextmanager
    def step(self, bundle: Bundle, sh: str, *options: str) -> Iterator[tuple[Process, str]]:
        """Start a job of one step in the background; gives srun, and the job's number.

        The script has to write "ready" on each node when it may be signalled.
        """
        name = f"crt-{next(self._numbers)}"
        argv = ["srun", f"--job-name={name}", *options, f"--container={bundle}", "/bin/sh", "-c"]
        with background([*argv, sh], self.environment) as process:
            for _ in range(2 if "-N2" in options else 1):
                process.read_until("ready")
            job = self("squeue", "--noheader", f"--name={name}", "--format=%i").ok().stdout.strip()
            try:
                yield process, job
            finally:
                self("scancel", "--quiet", job)

    def containers(self) -> list[str]:
        """Return the containers that the runtime knows."""
        if not self.states.exists():
            return []
        while True:
            done = call([self.place.program, f"--root={self.states}", "list", "--quiet"])
            # runc lists what is there, and then misses what has been deleted since.
            if done.rc == 0 or "no such file" not in done.stderr:
                return done.ok().stdout.split()
