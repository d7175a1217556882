"""Run from a sealed copy of the interpreter, never from the host's file (CVE-2019-5736).

An image whose entry point is `#!/proc/self/exe` gets the runtime's own executable. For a runtime in
Python that is the python3 of the whole host, and the image could reopen it for writing. So every
process that is to enter a container first executes itself again from a file that nothing can write:
one on an overlayfs without an upper layer, or else a sealed memfd. One such file is kept for the
commands to come (runtime/kept.py), which then start in it.
"""

from __future__ import annotations

import fcntl
import os
import sys

from runtime import KEPT
from runtime.errors import CrecheError
from runtime.linux.files import read_text
from runtime.linux.mounts import (
    MOUNT_ATTR_NODEV,
    MOUNT_ATTR_NOSUID,
    MOUNT_ATTR_RDONLY,
    new_filesystem,
)
from runtime.linux.paths import OVERLAYFS_SUPER_MAGIC, filesystem_type

F_ADD_SEALS = 1033
F_GET_SEALS = 1034
_SEALS = 0x1 | 0x2 | 0x4 | 0x8  # F_SEAL_SEAL, _SHRINK, _GROW, _WRITE
_MFD_EXEC = 0x10  # Linux 6.3; unknown flags are refused before
_ST_RDONLY = 1

KEPT_PYTHON = f"{KEPT}/python3"
"""The copy that outlives its command."""

# What could make the new interpreter, or the C library in it, load something else.
_UNWANTED = ("LD_", "PYTHON", "MALLOC_")
_UNWANTED_NAMES = ("GCONV_PATH", "LOCPATH", "NLSPATH", "GLIBC_TUNABLES", "LC_ALL", "LC_CTYPE")


def is_sealed() -> bool:
    """Whether /proc/self/exe is on a read-only overlay, or a memfd that nothing can change."""
    fd = os.open("/proc/self/exe", os.O_RDONLY | os.O_CLOEXEC)
    try:
        if filesystem_type(fd) == OVERLAYFS_SUPER_MAGIC:
            return bool(os.fstatvfs(fd).f_flag & _ST_RDONLY) and _ours(fd)
        return fcntl.fcntl(fd, F_GET_SEALS) & _SEALS == _SEALS
    except OSError:
        return False  # EINVAL: an ordinary file has no seals
    finally:
        os.close(fd)


def _ours(fd: int) -> bool:
    """Whether no path leads to the mount, or it is the kept one.

    A read-only overlay could also be an image's own root.
    """
    identity, attached = _mount_of(fd)
    return identity != "" and (not attached or _kept(attached))


def is_kept(fd: int) -> bool:
    """Whether an open file is the copy that runtime/kept.py made, as this process sees mounts."""
    return _kept(_mount_of(fd)[1])


def _mount_of(fd: int) -> tuple[str, list[str]]:
    """The number of the mount that a file is on, and its line of mountinfo; [] if there is none."""
    lines = read_text(f"/proc/self/fdinfo/{fd}").splitlines()
    identity = next((line.split()[1] for line in lines if line.startswith("mnt_id:")), "")
    start = identity + " "
    for line in read_text("/proc/self/mountinfo").splitlines():
        if line.startswith(start):
            return identity, line.split()
    return identity, []


def _kept(fields: list[str]) -> bool:
    """fields: of a line of mountinfo (proc_pid_mountinfo(5)). Without an upper layer nothing, not
    even root, makes an overlay writable."""
    if fields[4:5] != [KEPT_PYTHON]:
        return False
    kind, source, options = fields[fields.index("-") + 1 :][:3]
    words = options.split(",")
    writable = "rw" in words or any(word.startswith("upperdir=") for word in words)
    return kind == "overlay" and source == "creche" and not writable


def reexecute(script: str, arguments: list[str]) -> None:
    """Execute this interpreter again, sealed, isolated and without `site`; does not return.

    script: absolute path of the Python file to run. argv[0] stays the real path, from which CPython
    finds its library. Raises CrecheError if no sealed copy can be made.
    """
    interpreter = os.readlink("/proc/self/exe")
    fd = _sealed_copy(interpreter)
    argv = [sys.executable or interpreter, "-I", "-S", "-B", "-X", "utf8", script, *arguments]
    try:
        os.execve(fd, argv, clean_environment(os.environ))  # noqa: S606
    except OSError as error:
        raise CrecheError(f"cannot execute a sealed {interpreter}: {error.strerror}") from None


def clean_environment(environment: os._Environ[str] | dict[str, str]) -> dict[str, str]:
    """The environment without what would change how an interpreter or the C library starts."""
    return {
        name: value
        for name, value in environment.items()
        if not name.startswith(_UNWANTED) and name not in _UNWANTED_NAMES
    }


def _sealed_copy(interpreter: str) -> int:
    """The cheapest there can be."""
    from runtime import kept

    try:
        return kept.open_kept(interpreter)
    except OSError:
        pass
    try:
        fd = _overlay_copy(interpreter)
    except OSError:
        fd = _memfd_copy()
    return fd


def _overlay_copy(interpreter: str) -> int:
    """The interpreter as seen through a private overlayfs."""
    directory, name = os.path.split(interpreter)
    made = overlay(directory)
    try:
        return os.open(name, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW, dir_fd=made)
    finally:
        os.close(made)


def overlay(directory: str) -> int:
    """A detached mount of a directory as overlayfs shows it with lower layers only: no copy.

    Both layers are read-only by construction, and no privilege inside a container can add an upper
    one, unlike the read-only flag of a bind mount. Raises OSError.
    """
    # Some directory that is neither above nor below the other; the package `hooks` is next to ours.
    ours = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + "/hooks"
    if not set(directory + ours).isdisjoint(":,\\"):
        raise OSError(f"overlayfs cannot name {directory}")
    attributes = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID
    # overlayfs wants two lower layers where there is no upper one; the first hides what both have.
    if _detached_layers():
        empty = new_filesystem("tmpfs", None, [("nr_inodes", "1")], attributes)
        try:
            return _overlay(directory, f"/proc/self/fd/{empty}", attributes)
        finally:
            os.close(empty)
    return _overlay(directory, ours, attributes)


def _overlay(first: str, second: str, attributes: int) -> int:
    layers: list[tuple[str, str | None]] = [("lowerdir", f"{first}:{second}")]
    return new_filesystem("overlay", "creche", layers, attributes)


def _detached_layers() -> bool:
    """Whether overlayfs takes a layer that is not mounted anywhere: since Linux 6.15.

    Older ones answer EINVAL and write a line to the kernel's log each time (clone_private_mount in
    fs/namespace.c), so that is not tried.
    """
    major, minor = os.uname().release.split(".")[:2]
    digits = minor.split("-")[0].split("+")[0]
    return (int(major), int(digits) if digits.isdecimal() else 0) >= (6, 15)


def _memfd_copy() -> int:
    """A copy in memory, sealed: some 7 MB, for kernels or callers that may not mount."""
    source = os.open("/proc/self/exe", os.O_RDONLY | os.O_CLOEXEC)
    try:
        flags = os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING
        try:
            fd = os.memfd_create("creche:sealed", flags | _MFD_EXEC)
        except OSError:
            fd = os.memfd_create("creche:sealed", flags)
        size = os.fstat(source).st_size
        offset = 0
        while offset < size:
            offset += os.sendfile(fd, source, offset, size - offset)
        fcntl.fcntl(fd, F_ADD_SEALS, _SEALS)
        # fexecve(3) refuses a descriptor that is open for writing.
        readable = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_CLOEXEC)
        os.close(fd)
        return readable
    finally:
        os.close(source)
