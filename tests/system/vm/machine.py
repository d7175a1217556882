"""One QEMU, and the lines that lead into it.

The machine is emulated (TCG): it needs no /dev/kvm and no rights but those to start a program, and
is slower than the real one by a factor of 13 (an interpreter at work) to 40 (fork, exec,
namespaces). What is called "the runner" here is the service `vm-runner` in the image, which
build-image writes: it tells on the port `ctl` how far it is, runs /share/command and passes on what
that writes.
"""

from __future__ import annotations

import json
import os
import selectors
import shlex
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

QEMU = "qemu-system-x86_64"

# mitigations=off and the rest of the first lines only make an emulated boot shorter.
_KERNEL = (
    "console=ttyS0 quiet loglevel=4 panic=-1 mitigations=off random.trust_cpu=on tsc=reliable "
    "no_timer_check cryptomgr.notests apparmor=0 audit=0 net.ifnames=0 rcupdate.rcu_expedited=1 "
    "8250.nr_uarts=1 systemd.show_status=0 systemd.log_target=journal"
)


class MachineError(Exception):
    """The machine could not be made, or ended without telling a status."""


@dataclass(frozen=True)
class Hardware:
    """What the machine consists of: the image's directory, virtual CPUs and memory (MiB)."""

    image: Path
    cpus: int = 2
    memory: int = 2048

    def words(self) -> list[str]:
        """Return QEMU's options; a saved machine goes on only with the same ones."""
        return [
            *(QEMU, "-machine", "q35,usb=off,vmport=off", "-accel", "tcg,thread=multi"),
            *("-cpu", "max", "-smp", str(self.cpus), "-m", str(self.memory)),
            *("-nodefaults", "-no-user-config", "-display", "none", "-vga", "none"),
            *("-rtc", "base=utc"),
            *("-kernel", str(self.image / "vmlinux"), "-initrd", str(self.image / "initrd")),
            *("-append", _KERNEL, "-device", "virtio-serial-pci"),
        ]


class Machine:
    """A running QEMU. ``root`` holds options of the first disk, ``share`` is the second one.

    deadline: when events() gives up (time.monotonic());
    incoming: a saved machine to go on from, open for reading; monitor: whether it is to be saved.
    """

    def __init__(
        self,
        hardware: Hardware,
        tmp: Path,
        root: str,
        share: Path,
        deadline: float,
        *,
        incoming: IO[bytes] | None = None,
        monitor: bool = False,
    ) -> None:
        self.deadline = deadline
        self.results = tmp / "results.tar"
        self._console = tmp / "console"
        self._errors = (tmp / "qemu.err").open("w+")
        self._told = b""
        self._ends: dict[str, IO[bytes]] = {}
        theirs: list[int] = []
        # With qemu's parent gone nobody would end it.
        words = ["setpriv", "--pdeathsig", "KILL", *hardware.words()]
        words += ["-chardev", f"file,id=con,path={self._console}", "-serial", "chardev:con"]
        for name, options in (("root", root), ("share", f"format=raw,file={share}")):
            words += ["-drive", f"if=none,id={name},cache=unsafe,{options}"]
            words += ["-device", f"virtio-blk-pci,drive={name}"]
        self._control, control = socket.socketpair()
        theirs.append(control.detach())
        words += ["-chardev", f"socket,id=ctl,fd={theirs[-1]}"]
        for name in ("out", "err"):
            read, write = os.pipe()
            self._ends[name] = os.fdopen(read, "rb", 0)
            theirs.append(write)
            words += ["-chardev", f"file,id={name},path=/dev/fd/{write}"]
        words += ["-chardev", f"file,id=res,path={self.results}"]
        for name in ("ctl", "out", "err", "res"):
            words += ["-device", f"virtserialport,chardev={name},name=vm.{name}"]
        self._monitor: socket.socket | None = None
        if monitor:
            self._monitor, other = socket.socketpair()
            theirs.append(other.detach())
            words += ["-chardev", f"socket,id=qmp,fd={theirs[-1]}"]
            words += ["-mon", "chardev=qmp,mode=control"]
        passed = list(theirs)
        if incoming is not None:
            passed.append(incoming.fileno())
            words += ["-incoming", f"fd:{incoming.fileno()}"]
        self._qemu = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=self._errors,
            stderr=self._errors,
            pass_fds=passed,
            env={**os.environ, "TMPDIR": str(tmp)},
        )
        for fd in theirs:
            os.close(fd)

    def events(self) -> Iterator[tuple[str, bytes]]:
        """Yield ("out" or "err", what the command wrote) and ("ctl", a line of the runner).

        Ends when all is closed, or at the deadline.
        """
        with selectors.DefaultSelector() as selector:
            selector.register(self._control, selectors.EVENT_READ, "ctl")
            for name, stream in self._ends.items():
                selector.register(stream, selectors.EVENT_READ, name)
            while selector.get_map() and (left := self.deadline - time.monotonic()) > 0:
                for key, _ in selector.select(left):
                    try:
                        data = os.read(key.fd, 1 << 16)
                    except ConnectionError:
                        data = b""
                    if not data:
                        selector.unregister(key.fileobj)
                    elif key.data == "ctl":
                        *lines, self._told = (self._told + data).split(b"\n")
                        for line in lines:
                            yield "ctl", line
                    else:
                        yield key.data, data

    def go(self, now: float | None = None) -> None:
        """Tell the runner to begin; ``now`` is the time of day for a machine that was saved."""
        self._control.sendall(b"go\n" if now is None else f"go {now:.3f}\n".encode())

    def save(self, state: Path) -> None:
        """Write memory and devices to a file and end (QEMU's migration)."""
        assert self._monitor is not None
        self._monitor.settimeout(max(1.0, self.deadline - time.monotonic()))
        status = None
        with self._monitor.makefile("r") as answers:
            answers.readline()  # the greeting
            self._ask(answers, "qmp_capabilities")
            told = [{"capability": "events", "state": True}]
            self._ask(answers, "migrate-set-capabilities", capabilities=told)
            self._ask(answers, "migrate-set-parameters", **{"max-bandwidth": 1 << 40})
            self._ask(answers, "migrate", uri=f"exec:cat >{shlex.quote(str(state))}")
            while line := answers.readline():
                event = json.loads(line)
                status = event.get("data", {}).get("status")
                if event.get("event") == "MIGRATION" and status in ("completed", "failed"):
                    break
            if status != "completed":
                raise MachineError(f"saving the machine: {status}")
            self._ask(answers, "quit")
        self._qemu.wait(10)

    def _ask(self, answers: IO[str], command: str, **arguments: Any) -> None:
        assert self._monitor is not None
        question = {"execute": command, "arguments": arguments}
        self._monitor.sendall(json.dumps(question).encode())
        while line := answers.readline():
            answer = json.loads(line)
            if "error" in answer:
                raise MachineError(f"{command}: {answer['error']['desc']}")
            if "return" in answer:
                return
        raise MachineError(f"{command}: qemu ended")

    def end(self, grace: float = 0.0) -> None:
        """Wait ``grace`` seconds for it to switch off by itself, then end it."""
        try:
            self._qemu.wait(grace)
        except subprocess.TimeoutExpired:
            self._qemu.send_signal(signal.SIGKILL)
            self._qemu.wait()
        for stream in (self._control, self._monitor, *self._ends.values()):
            if stream is not None:
                stream.close()

    def last_words(self) -> str:
        """Return what QEMU and the serial console said."""
        self._errors.seek(0)
        console = self._console.read_text(errors="replace") if self._console.exists() else ""
        return f"{self._errors.read()}--- serial console ---\n{console[-4000:]}"
