"""Hooks as real processes, by both runners."""

import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trio
import trio.testing

from hooks import blocking, cgroup, concurrent
from hooks.errors import HookError
from hooks.result import HookResult
from hooks.types import Hook
from tests.support.leaks import children, descriptors

pytestmark = pytest.mark.root

STATE = b'{"ociVersion": "1.3.0", "id": "x"}'
PATH = "PATH=/usr/sbin:/usr/bin:/sbin:/bin"

TRUE: Hook = {"path": "/bin/true"}

Runner = Callable[..., HookResult]


def run_blocking(
    hook: Hook,
    state: bytes = STATE,
    cwd: str | None = None,
    default_timeout: float | None = None,
    isolate: bool = True,
) -> HookResult:
    return blocking.run_hook("prestart", 0, hook, state, cwd, default_timeout, isolate)


def run_trio(
    hook: Hook,
    state: bytes = STATE,
    cwd: str | None = None,
    default_timeout: float | None = None,
    isolate: bool = True,
) -> HookResult:
    async def main() -> HookResult:
        tasks = trio.lowlevel.current_statistics().tasks_living
        try:
            return await concurrent.run_hook(
                "prestart", 0, hook, state, cwd, default_timeout, isolate
            )
        finally:
            assert trio.lowlevel.current_statistics().tasks_living == tasks

    return trio.run(main)


@pytest.fixture(params=[run_blocking, run_trio], ids=["blocking", "trio"])
def run(request: pytest.FixtureRequest) -> Runner:
    runner: Runner = request.param
    return runner


def own_hook_cgroups() -> list[str]:
    base = cgroup.own_cgroup()
    prefix = f"{cgroup.PREFIX}{os.getpid()}."
    return [name for name in os.listdir(base) if name.startswith(prefix)] if base else []


def shell(script: str, *args: str, timeout: int | None = None) -> Hook:
    hook: Hook = {"path": "/bin/sh", "args": ["sh", "-c", script, "sh", *args], "env": [PATH]}
    if timeout is not None:
        hook["timeout"] = timeout
    return hook


class Witness:
    """A FIFO that a process holds open while it lives: it writes its pid into it. End of file
    says that it, and whatever else has it open, is gone."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self.path = str(path)
        self.fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)

    def pids(self) -> list[int]:
        """Those who have reported so far."""
        try:
            return [int(word) for word in os.read(self.fd, 4096).split()]
        except BlockingIOError:
            return []

    def held(self) -> bool:
        """Whether one of them is alive."""
        try:
            return os.read(self.fd, 4096) != b""
        except BlockingIOError:
            return True

    def close(self) -> None:
        os.close(self.fd)


@pytest.fixture
def witness(tmp_path: Path) -> Iterator[Witness]:
    found = Witness(tmp_path / "witness")
    yield found
    found.close()


# A grandchild in a session of its own whose parent has ended, which closes nothing; "$1" is the
# witness. The hook goes on when the grandchild has reported, so no test depends on its speed.
DAEMON = """
mkfifo "$1.ready"
( setsid sh -c 'exec 3>"$1"; echo $$ >&3; echo >"$1.ready"; exec sleep 100000' sh "$1" & )
read -r _ <"$1.ready"
rm "$1.ready"
"""


def end(pid: int) -> None:
    """End a process that a test left running on purpose, and see it gone."""
    pidfd = os.pidfd_open(pid)
    try:
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        assert select.select([pidfd], [], [], 60)[0]
    finally:
        os.close(pidfd)


def overrun(run: Runner, hook: Hook, witness: Witness, **options: bool) -> tuple[HookError, int]:
    """Let the hook overrun its time once what it does before has certainly happened: its error
    and the number of processes that had reported."""
    for timeout in (0.5, 4.0, 32.0):
        with pytest.raises(HookError) as caught:
            run(hook, default_timeout=timeout, **options)
        pids = witness.pids()
        if pids:
            assert caught.value.reason == f"timed out after {timeout:g}s"
            return caught.value, len(pids)
    raise AssertionError("the hook's child did not start in 32 seconds")


def test_reads_the_state(run: Runner) -> None:
    assert run({"path": "/bin/cat"}).stdout == STATE


def test_streams_are_kept_apart(run: Runner) -> None:
    result = run(shell("echo out; echo err >&2"))

    assert (result.stdout, result.stderr) == (b"out\n", b"err\n")
    assert (result.status, result.signal) == (0, None)
    assert result.duration > 0


def test_failure_has_status_and_output(run: Runner) -> None:
    with pytest.raises(HookError) as caught:
        run(shell("echo out; echo err >&2; exit 3"))

    assert str(caught.value) == (
        "error running prestart hook #0: exit status 3, stdout: out, stderr: err, path: /bin/sh"
    )
    assert caught.value.result is not None
    assert caught.value.result.status == 3


def test_killed_by_a_signal(run: Runner) -> None:
    with pytest.raises(HookError) as caught:
        run(shell("kill -TERM $$"))

    assert caught.value.reason == "signal: terminated"
    assert caught.value.result is not None
    assert (caught.value.result.status, caught.value.result.signal) == (None, 15)


def test_argv_is_as_given(run: Runner) -> None:
    hook: Hook = {
        "path": "/bin/sh",
        "args": ["not-the-path", "-c", 'echo "$0|$#|$1|$2"', "zero", "", "é"],
    }

    assert run(hook).stdout == "zero|2||é\n".encode()
    assert run(shell("cat /proc/$$/cmdline")).stdout.startswith(b"sh\0-c\0")


def test_environment_is_exact(run: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LD_PRELOAD", "/nonexistent/evil.so")
    monkeypatch.setenv("PYTHONPATH", "/nonexistent")
    none = run({"path": "/usr/bin/env"})
    some = run({"path": "/usr/bin/env", "env": ["A=1", "LC_ALL=C", "A=2"]})

    assert (none.stdout, none.stderr) == (b"", b"")
    assert (some.stdout, some.stderr) == (b"A=2\nLC_ALL=C\n", b"")


def test_working_directory(run: Runner, tmp_path: Path) -> None:
    assert run({"path": "/bin/pwd"}, cwd=str(tmp_path)).stdout == f"{tmp_path}\n".encode()
    assert run({"path": "/bin/pwd"}).stdout == f"{os.getcwd()}\n".encode()


def test_missing_directory_is_named(run: Runner, tmp_path: Path) -> None:
    with pytest.raises(HookError) as caught:
        run({"path": "/bin/true"}, cwd=str(tmp_path / "no"))

    assert caught.value.reason == f"chdir {tmp_path}/no: no such file or directory"


def test_missing_file(run: Runner) -> None:
    with pytest.raises(HookError) as caught:
        run({"path": "/nonexistent/hook"})

    assert str(caught.value) == (
        "error running prestart hook #0: "
        "fork/exec /nonexistent/hook: no such file or directory, stdout: , stderr: "
    )


def test_not_executable(run: Runner, tmp_path: Path) -> None:
    hook = tmp_path / "hook"
    hook.write_text("#!/bin/sh\n")
    with pytest.raises(HookError) as caught:
        run({"path": str(hook)})

    assert caught.value.reason == f"fork/exec {hook}: permission denied"


def test_missing_interpreter_is_told_from_missing_file(run: Runner, tmp_path: Path) -> None:
    hook = tmp_path / "hook"
    hook.write_text("#!/nonexistent/sh\n")
    hook.chmod(0o755)
    with pytest.raises(HookError) as caught:
        run({"path": str(hook)})

    assert caught.value.reason == (
        f"fork/exec {hook}: no such file or directory (the file exists, its interpreter does not)"
    )


def test_no_program_at_all(run: Runner, tmp_path: Path) -> None:
    hook = tmp_path / "hook"
    hook.write_bytes(b"\0\1\2")
    hook.chmod(0o755)
    with pytest.raises(HookError) as caught:
        run({"path": str(hook)})

    assert caught.value.reason == f"fork/exec {hook}: exec format error"


def test_signals_are_as_after_boot(run: Runner) -> None:
    old = signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])
    try:
        result = run({"path": "/bin/grep", "args": ["grep", "^Sig[BI]", "/proc/self/status"]})
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.signal(signal.SIGUSR1, old)

    assert result.stdout == b"SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n"


def test_no_descriptor_but_the_three(run: Runner) -> None:
    read, write = os.pipe()
    os.set_inheritable(write, True)
    try:
        result = run({"path": "/bin/ls", "args": ["ls", "/proc/self/fd"]})
    finally:
        os.close(read)
        os.close(write)

    assert result.stdout.split() == [b"0", b"1", b"2", b"3"]  # 3 is what ls itself opened


def test_leads_a_session_of_its_own(run: Runner) -> None:
    result = run(shell("cut -d' ' -f1,5,6 /proc/$$/stat; echo $$"))
    pid = result.stdout.split()[-1]

    assert result.stdout.split()[:3] == [pid, pid, pid]


def test_huge_state_is_read_in_full(run: Runner) -> None:
    state = b"x" * (1 << 20)

    assert run({"path": "/usr/bin/wc", "args": ["wc", "-c"]}, state).stdout == b"1048576\n"


def test_huge_state_need_not_be_read(run: Runner) -> None:
    state = b"x" * (1 << 20)

    assert run({"path": "/bin/true"}, state).status == 0
    assert run(shell("exec <&-; echo done"), state).stdout == b"done\n"
    assert run({"path": "/usr/bin/head", "args": ["head", "-c3"]}, state).stdout == b"xxx"


def test_endless_line_is_bounded(run: Runner) -> None:
    size = 64 << 20
    hook: Hook = {"path": "/usr/bin/head", "args": ["head", "-c", str(size), "/dev/zero"]}
    run({"path": "/bin/true"})
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    before = status_kib("VmHWM")
    result = run(hook)
    grown = status_kib("VmHWM") - before

    assert result.stdout_total == size
    assert result.stdout == b"\0" * 65536
    assert grown < 4096


def status_kib(key: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1])
    raise KeyError(key)


def test_last_words_are_not_lost(run: Runner) -> None:
    result = run(shell("i=0; while [ $i -lt 3000 ]; do echo line $i; i=$((i+1)); done"))

    assert result.stdout.endswith(b"line 2999\n")


def test_deadline_kills_everything(run: Runner, witness: Witness) -> None:
    error, count = overrun(run, shell(DAEMON + "sleep 100000", witness.path), witness)

    assert count == 1
    assert not witness.held()
    assert error.result is not None
    assert error.result.signal == 9


def test_deadline_against_one_who_ignores_signals(run: Runner, witness: Witness) -> None:
    script = 'trap "" TERM INT HUP; exec 3>"$1"; echo $$ >&3; while :; do sleep 1000; done'
    overrun(run, shell(script, witness.path), witness)

    assert not witness.held()


def test_own_timeout_is_seconds(run: Runner) -> None:
    with pytest.raises(HookError) as caught:
        run(shell("echo began; exec sleep 100000", timeout=1))

    assert str(caught.value) == (
        "error running prestart hook #0: timed out after 1s, stdout: began, stderr: , path: /bin/sh"
    )


def test_failure_kills_everything(run: Runner, witness: Witness) -> None:
    with pytest.raises(HookError) as caught:
        run(shell(DAEMON + "exit 9", witness.path))

    assert caught.value.reason == "exit status 9"
    assert len(witness.pids()) == 1
    assert not witness.held()


def test_daemon_of_a_successful_hook_lives_on(run: Runner, witness: Witness) -> None:
    # It holds standard output too, which delays nothing.
    result = run(shell(DAEMON + "echo done", witness.path))
    (daemon,) = witness.pids()
    try:
        assert result.stdout == b"done\n"
        assert witness.held()
        assert own_hook_cgroups() == []
        theirs = Path(f"/proc/{daemon}/cgroup").read_text()
        assert theirs == Path("/proc/self/cgroup").read_text()
    finally:
        end(daemon)


def test_daemon_that_writes_for_ever_delays_nothing(run: Runner, witness: Witness) -> None:
    script = DAEMON.replace("exec sleep 100000", "exec yes")
    result = run(shell(script, witness.path))
    for daemon in witness.pids():
        # No one reads what it writes now, so SIGPIPE may have ended it already.
        try:
            end(daemon)
        except ProcessLookupError:
            pass

    assert result.status == 0


def test_own_cgroup_while_running_none_after(run: Runner) -> None:
    base = cgroup.own_cgroup()
    if base is None:
        pytest.skip("no unified cgroup hierarchy is mounted")
    inside = run(shell("cat /proc/self/cgroup")).stdout.decode()

    assert f"/{cgroup.PREFIX}{os.getpid()}." in inside
    assert own_hook_cgroups() == []


def test_cgroups_that_the_hook_made_are_removed(run: Runner, witness: Witness) -> None:
    base = cgroup.own_cgroup()
    if base is None:
        pytest.skip("no unified cgroup hierarchy is mounted")
    mount = next(place for place in cgroup.MOUNTS if base.startswith(place))
    script = f"""
    inner={mount}$(grep ^0:: /proc/self/cgroup | cut -c4-)/a/b
    mkdir -p $inner
    echo $$ >$inner/cgroup.procs
    """
    run(shell(script + DAEMON, witness.path))
    (daemon,) = witness.pids()
    end(daemon)
    with pytest.raises(HookError):
        run(shell(script + "exit 1", witness.path))

    assert own_hook_cgroups() == []


def test_without_a_cgroup_proc_is_searched(
    run: Runner, witness: Witness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cgroup, "MOUNTS", ())
    # One in the session but another process group; one in another session, parent alive.
    script = """
    mkfifo "$1.ready"
    daemon='exec 3>"$1"; echo $$ >&3; echo >"$1.ready"; exec sleep 100000'
    setsid sh -c "$daemon" sh "$1" & read -r _ <"$1.ready"
    set -m; ( sh -c "$daemon" sh "$1" & ) ; read -r _ <"$1.ready"
    rm "$1.ready"
    sleep 100000
    """
    for _ in range(3):
        _, count = overrun(run, shell(script, witness.path), witness)
        assert not witness.held()
        if count == 2:
            return
        Path(witness.path + ".ready").unlink(missing_ok=True)
    raise AssertionError("the hook's children never came up in time")


def test_not_isolated_kills_the_process_group(run: Runner, witness: Witness) -> None:
    script = 'exec 3>"$1"; sleep 100000 & echo $! >&3; sleep 100000'
    overrun(run, shell(script, witness.path), witness, isolate=False)

    pidfd_gone(witness)


def pidfd_gone(witness: Witness) -> None:
    """Without a cgroup nobody waited for the killed: wait for the end of file."""
    poll = select.poll()
    poll.register(witness.fd, select.POLLIN)
    assert poll.poll(60_000)
    assert not witness.held()


def test_many_runs_leave_nothing(run: Runner) -> None:
    before = (descriptors(), children())
    for _ in range(50):
        run(TRUE)

    assert (descriptors(), children()) == before  # no zombie either
    assert own_hook_cgroups() == []


def test_first_failure_ends_a_stage(tmp_path: Path) -> None:
    hooks: list[Hook] = [TRUE, shell("exit 4"), shell('touch "$1"', str(tmp_path / "ran"))]
    with pytest.raises(HookError) as caught:
        blocking.run_hooks("createRuntime", hooks, STATE)
    with pytest.raises(HookError) as caught_too:
        trio.run(concurrent.run_hooks, "createRuntime", hooks, STATE)

    assert str(caught.value) == str(caught_too.value)
    assert caught.value.index == 1
    assert not (tmp_path / "ran").exists()


def test_poststop_runs_all(tmp_path: Path) -> None:
    hooks: list[Hook] = [
        shell("exit 4"),
        {"path": "/nonexistent"},
        shell('touch "$1"', str(tmp_path / "ran")),
    ]

    async def main() -> list[HookError]:
        return await concurrent.run_hooks("poststop", hooks, STATE, keep_going=True)

    assert [
        error.index for error in blocking.run_hooks("poststop", hooks, STATE, keep_going=True)
    ] == [0, 1]
    (tmp_path / "ran").unlink()
    assert [error.index for error in trio.run(main)] == [0, 1]
    (tmp_path / "ran").unlink()


def test_before_exec_runs_in_the_hooks_process() -> None:
    def umask() -> None:
        os.umask(0o177)

    result = blocking.run_hook("startContainer", 0, shell("umask"), STATE, None, None, False, umask)

    assert result.stdout == b"0177\n"


def test_failing_before_exec_is_the_hooks_failure() -> None:
    def fail() -> None:
        raise ValueError("no filter")

    with pytest.raises(HookError) as caught:
        blocking.run_hook(
            "startContainer", 0, {"path": "/bin/true"}, STATE, None, None, False, fail
        )

    assert caught.value.reason == "prepare: no filter"


def test_handlers_of_the_caller_do_not_run_in_the_child() -> None:
    seen = []
    old = signal.signal(signal.SIGUSR1, lambda *_: seen.append(os.getpid()))
    try:
        blocking.run_hook("prestart", 0, shell("kill -USR1 $PPID; exit 0"), STATE, None, 60, False)
    finally:
        signal.signal(signal.SIGUSR1, old)

    assert seen == [os.getpid()]


def test_exception_from_a_handler_kills_the_hook(witness: Witness) -> None:
    class Stop(Exception):
        pass

    def stop(*_: object) -> None:
        raise Stop

    old = signal.signal(signal.SIGUSR1, stop)
    try:
        with pytest.raises(Stop):
            blocking.run_hook(
                "prestart",
                0,
                shell(DAEMON + "kill -USR1 $PPID; exec sleep 100000", witness.path),
                STATE,
            )
    finally:
        signal.signal(signal.SIGUSR1, old)

    assert len(witness.pids()) == 1
    assert not witness.held()


async def test_cancelled_hook_is_gone_before_the_scope_ends(witness: Witness) -> None:
    async with trio.open_nursery() as nursery:

        async def cancel_when_it_runs() -> None:
            await trio.lowlevel.wait_readable(witness.fd)
            nursery.cancel_scope.cancel()

        nursery.start_soon(cancel_when_it_runs)
        await concurrent.run_hook(
            "prestart", 0, shell(DAEMON + "sleep 100000", witness.path), STATE
        )

    assert len(witness.pids()) == 1
    assert not witness.held()


async def test_cancelled_before_it_began(tmp_path: Path) -> None:
    with trio.CancelScope() as scope:
        scope.cancel()
        await concurrent.run_hook("prestart", 0, shell('touch "$1"', str(tmp_path / "x")), STATE)

    assert scope.cancelled_caught
    assert not (tmp_path / "x").exists()


async def test_the_deadline_is_trios(autojump_clock: trio.testing.MockClock) -> None:
    began = trio.current_time()
    with pytest.raises(HookError) as caught:
        await concurrent.run_hook("poststart", 1, shell("sleep 100000", timeout=36000), STATE)

    assert caught.value.reason == "timed out after 36000s"
    assert trio.current_time() - began >= 36000


async def test_a_hundred_at_once() -> None:
    results: list[HookResult] = []

    async def one(number: int) -> None:
        hook = shell("cat; echo $1", str(number))
        results.append(await concurrent.run_hook("prestart", number, hook, b"n="))

    async with trio.open_nursery() as nursery:
        for number in range(100):
            nursery.start_soon(one, number)

    assert {result.stdout for result in results} == {b"n=%d\n" % n for n in range(100)}


# Runs in a process of its own: as pid 1 of a pid namespace, chrooted into a directory that has
# nothing but busybox, with an import system that finds nothing. "%r" is the checkout, then the
# root.
AS_INIT = """
import os, sys
sys.path.insert(0, %r)
from hooks import blocking
from hooks.errors import HookError
sys.path[:] = []; sys.path_hooks[:] = []; sys.meta_path[:] = []; sys.path_importer_cache.clear()
import _signal
_signal.signal(13, 0)
os.chroot(%r); os.chdir("/")
assert os.getpid() == 1
def run(*args, **more):
    hook = {"path": "/busybox", "args": list(args), **more}
    return blocking.run_hook("startContainer", 0, hook, b"s" * 300000, "/", isolate=False)
print(run("pwd").stdout, run("true").status)
for arguments in (("false",), ("nonsense",)):
    try: run(*arguments)
    except HookError as error: print(error.reason)
try: blocking.run_hook("startContainer", 0, {"path": "/no"}, b"", "/", isolate=False)
except HookError as error: print(error.reason)
try: run("sh", "-c", "(/busybox setsid /busybox sleep 100000 &); /busybox sleep 100000", timeout=1)
except HookError as error: print(error.reason)
while True:
    try: os.waitpid(-1, 0)  # comes to an end only if the grandchild was killed
    except ChildProcessError: break
print("alone")
"""


def test_inside_an_init_without_proc_cgroup_and_imports(tmp_path: Path) -> None:
    busybox = Path("/bin/busybox")
    if not busybox.exists():
        pytest.skip("needs busybox-static")
    (tmp_path / "busybox").write_bytes(busybox.read_bytes())
    (tmp_path / "busybox").chmod(0o755)
    checkout = str(Path(blocking.__file__).parent.parent)
    done = subprocess.run(
        [
            *("unshare", "--pid", "--fork", "--kill-child", "--"),
            *(sys.executable, "-I", "-S", "-B", "-c", AS_INIT % (checkout, str(tmp_path))),
        ],
        capture_output=True,
        text=True,
        timeout=120,
    )

    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "b'/\\n' 0",
        "exit status 1",
        "exit status 127",
        "fork/exec /no: no such file or directory",
        "timed out after 1s",
        "alone",
    ]


def test_blocking_runner_imports_little() -> None:
    checkout = str(Path(blocking.__file__).parent.parent)
    dear = "re typing enum collections contextlib subprocess signal json dataclasses trio runtime"
    code = (
        f"import sys; sys.path.insert(0, {checkout!r}); import ctypes; before = set(sys.modules); "
        f"import hooks.blocking, hooks.order, hooks.stages; "
        f"print(sorted(set({dear!r}.split()) & (set(sys.modules) - before)))"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-B", "-c", code], capture_output=True, text=True
    )

    assert (done.stdout, done.stderr) == ("[]\n", "")
