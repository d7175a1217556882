"""Run one command in the machine; the image is never changed."""

from __future__ import annotations

import fcntl
import hashlib
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from tests.system.vm.disk import SIZE, make_share
from tests.system.vm.machine import QEMU, Hardware, Machine, MachineError

TIMED_OUT = 124  # as timeout(1) says it
_POWER_OFF = 5.0  # seconds


def run(
    hardware: Hardware,
    shares: Mapping[str, Path],
    command: str,
    out: Path,
    timeout: float,
    *,
    warm: bool,
) -> int:
    """Run a line of shell as root; returns its exit status, or TIMED_OUT.

    Directories in ``shares`` are copied to /share/NAME; files that the command leaves in $OUT come
    back into ``out``; stdout and stderr are passed on. timeout: seconds. warm: go on from a machine
    that has booted and was saved, and save one first if there is none. If the command has the
    machine booted again, it is run once more, on the same disks. Raises MachineError.
    """
    with tempfile.TemporaryDirectory(prefix="creche-vm.") as name:
        tmp = Path(name)
        deadline = time.monotonic() + timeout
        disk = hardware.image / "rootfs.img"
        if not warm:
            share = make_share(tmp, shares, command)
            machine = Machine(hardware, tmp, _snapshot(disk), share, deadline)
            machine.go()
            return _follow(machine, out)
        state, disk = _saved(hardware, deadline)
        with state.open("rb", 0) as incoming:
            share = make_share(tmp, shares, command)
            machine = Machine(hardware, tmp, _snapshot(disk), share, deadline, incoming=incoming)
        machine.go(time.time())
        return _follow(machine, out)


def _snapshot(disk: Path) -> str:
    """Writes go to a temporary file: several machines may use one image at once."""
    return f"format=raw,snapshot=on,file.locking=off,file={disk}"


def _follow(machine: Machine, out: Path) -> int:
    status = None
    running = False
    try:
        for name, data in machine.events():
            if name == "ctl":
                if data.startswith(b"start "):
                    running = True
                elif data.startswith(b"ready ") and running:
                    machine.go()  # the command has had the machine booted again
                elif data.startswith(b"exit "):
                    status = int(data.split()[1])
                    machine.deadline = time.monotonic() + _POWER_OFF
            else:
                stream = sys.stdout if name == "out" else sys.stderr
                stream.buffer.write(data)
                stream.buffer.flush()
        late = status is None and time.monotonic() >= machine.deadline
    finally:
        machine.end(_POWER_OFF if status is not None else 0.0)
    if machine.results.exists() and machine.results.stat().st_size:
        with tarfile.open(machine.results) as tar:
            for member in tar:
                content = tar.extractfile(member)
                if content is not None:
                    (out / Path(member.name).name).write_bytes(content.read())
    if late:
        print(machine.last_words(), file=sys.stderr)
        return TIMED_OUT
    if status is None:
        raise MachineError("the machine ended without a status\n" + machine.last_words())
    return status


def _saved(hardware: Hardware, deadline: float) -> tuple[Path, Path]:
    """Return memory and disk of a machine that has booted; boots one if there is none."""
    image = hardware.image
    version = subprocess.run([QEMU, "--version"], check=True, capture_output=True).stdout
    words = " ".join(hardware.words()).encode()
    key = hashlib.sha256(b"\0".join([(image / "info").read_bytes(), version, words])).hexdigest()
    state, disk = image / f"warm-{key[:16]}.state", image / f"warm-{key[:16]}.img"
    with (image / f"lock-{key[:16]}").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not state.exists():
            for old in image.glob("warm-*"):
                old.unlink()
            subprocess.run(["cp", "--sparse=always", image / "rootfs.img", disk], check=True)
            with tempfile.TemporaryDirectory(prefix="creche-vm.") as name:
                _save(hardware, Path(name), state, disk, deadline)
    return state, disk


def _save(hardware: Hardware, tmp: Path, state: Path, disk: Path, deadline: float) -> None:
    share = tmp / "share.img"
    with share.open("wb") as file:
        file.truncate(SIZE)
    machine = Machine(hardware, tmp, f"format=raw,file={disk}", share, deadline, monitor=True)
    try:
        for name, line in machine.events():
            if name == "ctl" and line.startswith(b"ready "):
                break
        else:
            raise MachineError("no machine to save: " + machine.last_words())
        new = state.with_suffix(".new")
        machine.save(new)
        new.rename(state)
    finally:
        machine.end()
