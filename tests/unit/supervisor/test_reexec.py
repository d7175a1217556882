"""A process that executes itself anew: what it keeps, and what the new program finds."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from supervisor import reexec
from supervisor.held import SIGNALS

PROGRAM = """
import json, os, signal, sys
from supervisor import reexec
from supervisor.held import hold_back, listen_again
found = reexec.taken_over(os.environ)
if found is None:
    if sys.argv[1:] == ["--version"]:
        sys.exit()
    reader, writer = os.pipe()
    child = os.posix_spawn("/bin/sh", ["sh", "-c", "exit 9"], {})
    os.write(writer, b"%d" % child)
    os.kill(os.getpid(), 0)
    hold_back()
    reexec.replace({"pipe": reader}, [("EXTRA", "1")])
name, fd = found[0]
inheritable = os.get_inheritable(fd)
held = sorted(map(int, signal.pthread_sigmask(signal.SIG_BLOCK, ())))
listen_again()
free = sorted(map(int, signal.pthread_sigmask(signal.SIG_BLOCK, ())))
child = int(os.read(fd, 20))
status = os.waitpid(child, 0)[1]
print(json.dumps([sys.argv[1:], name, inheritable, held, free, status, dict(os.environ)]))
"""


def test_the_same_process_with_the_same_children(tmp_path: Path) -> None:
    """Options, descriptors and children are those from before; signals were held back meanwhile."""
    script = tmp_path / "program.py"
    script.write_text(PROGRAM)
    environment = {"PYTHONPATH": str(Path(__file__).parents[3]), "PATH": os.environ["PATH"]}
    process = subprocess.Popen(
        [sys.executable, script, "--one", "two words"],
        stdout=subprocess.PIPE,
        env=environment,
    )
    output, _ = process.communicate(timeout=60)
    options, name, inheritable, held, free, status, variables = json.loads(output)

    assert process.returncode == 0
    assert options == ["--one", "two words"]
    assert (name, inheritable) == ("pipe", False)
    assert set(held) - set(free) == set(map(int, SIGNALS))
    assert os.waitstatus_to_exitcode(status) == 9
    assert variables["EXTRA"] == "1"
    assert reexec.VARIABLE not in variables


def test_what_anybody_may_put_into_the_environment(tmp_path: Path) -> None:
    """Is not believed: no number, no memfd, not sealed, of another process."""
    for text in ("", "x", "-1", "99999"):
        environment = {reexec.VARIABLE: text}
        assert reexec.taken_over(environment) is None
        assert environment == {}
    document = {"version": 1, "pid": os.getpid() + 1, "descriptors": {"a": 0}}
    fd = os.memfd_create("x", os.MFD_ALLOW_SEALING)
    os.write(fd, json.dumps(document).encode())
    assert reexec.taken_over({reexec.VARIABLE: str(fd)}) is None
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, reexec._SEALS)
    assert reexec.taken_over({reexec.VARIABLE: str(fd)}) is None
    with pytest.raises(OSError):
        os.fstat(fd)


def test_a_program_that_cannot_be_executed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing has changed after that."""
    reader, writer = os.pipe()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    fds = set(os.listdir("/proc/self/fd"))
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    with pytest.raises(Exception, match="execute /no/such/python: no such file"):
        reexec.replace({"a": reader}, [])

    assert not os.get_inheritable(reader)
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before
    assert set(os.listdir("/proc/self/fd")) == fds
    os.close(reader)
    os.close(writer)
