"""The program: its working directory, where it is found, and the last steps before execve(2)."""

from __future__ import annotations

import errno
import os
import stat

import runtime.linux.process as p
from runtime.errors import InitError, KernelError, strerror
from runtime.init.inroot import open_or_create

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.plan.types import ProcessPlan

_PASSWD_LIMIT = 1 << 20


def make_cwd(cwd: str) -> None:
    """Create a missing working directory, as engines expect (runc does). Called as root.

    Without magic links: /proc/self/fd/N/x would have x made in a directory of the host's, if one
    was handed over.
    """
    if os.path.isdir(cwd):
        return
    root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.close(open_or_create(root, cwd, directory=True)[0])
    except OSError:
        pass  # a read-only root; chdir says so in a moment
    finally:
        os.close(root)


def enter_cwd(cwd: str, key: str = "process.cwd") -> None:
    """chdir, and proof that the directory is inside our root (CVE-2024-21626)."""
    try:
        os.chdir(cwd)
    except OSError as error:
        raise KernelError("chdir to", cwd, error.errno or 0, key) from None
    try:
        inside = p.getcwd().startswith("/")
    except OSError:
        inside = False
    if not inside:
        os.chdir("/")
        raise KernelError(
            "chdir to", cwd, errno.EXDEV, key,
            "current working directory is outside of container mount namespace root",
        )  # fmt: skip


def environment(plan: ProcessPlan) -> dict[str, str]:
    """process.env, with HOME from the container's own passwd file where it is empty or missing.

    The file is parsed as text: the name service would load libraries out of the image
    (CVE-2019-14271).
    """
    env = {}
    for entry in plan["env"]:
        name, _, value = entry.partition("=")
        env[name] = value
    if not env.get("HOME"):
        env["HOME"] = _home(plan["uid"])
    return env


def _home(uid: int) -> str:
    for line in _passwd().splitlines():
        fields = line.split(":")
        if len(fields) >= 6 and fields[2] == str(uid) and fields[5]:
            return fields[5]
    return "/"


def _passwd() -> str:
    try:
        fd = os.open("/etc/passwd", os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        info = os.fstat(fd)
        if not stat.S_ISREG(info.st_mode):
            return ""
        return os.read(fd, min(info.st_size, _PASSWD_LIMIT)).decode("utf-8", "surrogateescape")
    except OSError:
        return ""
    finally:
        os.close(fd)


def find(name: str, env: dict[str, str]) -> str:
    """The file that execve(2) is to run; InitError in runc's words, which engines match.

    "no such file" becomes exit status 127 in podman and docker, "permission denied" 126.
    """
    if "/" in name:
        problem = _unusable(name)
        if problem:
            detail = (
                f"stat {name}: {strerror(problem)}"
                if problem != errno.EACCES
                else strerror(problem)
            )
            raise InitError(f'exec: "{name}": {detail}', problem, "exec")
        return name
    denied = False
    for directory in env.get("PATH", "").split(":"):
        if not directory.startswith("/"):
            continue
        candidate = f"{directory}/{name}"
        problem = _unusable(candidate)
        if not problem:
            return candidate
        denied = denied or (problem == errno.EACCES and os.path.isfile(candidate))
    if denied:
        raise InitError(f'exec: "{name}": permission denied', errno.EACCES, "exec")
    raise InitError(f'exec: "{name}": executable file not found in $PATH', errno.ENOENT, "exec")


def _unusable(path: str) -> int:
    """0, or the errno that says why path cannot be executed by the effective user."""
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        return error.errno or errno.ENOENT
    if stat.S_ISDIR(mode) or not os.access(path, os.X_OK, effective_ids=True):
        return errno.EACCES
    return 0


def close_between(first: int, keep: list[int]) -> None:
    """Close every descriptor from first on, but for those to keep."""
    start = first
    for fd in sorted(fd for fd in keep if fd >= first):
        if fd > start:
            p.close_range(start, fd - 1)
        start = fd + 1
    p.close_range(start)


def execute(path: str, args: list[str], env: dict[str, str]) -> None:
    """execve(2); returns only by raising InitError: `exec PATH: reason`."""
    try:
        os.execve(path, args, env)  # noqa: S606
    except OSError as error:
        number = error.errno or 0
        raise InitError(f"exec {path}: {strerror(number)}", number, "execve") from None
