"""Paths of the container's root filesystem, as descriptors.

Every look-up is one openat2(2) with RESOLVE_IN_ROOT below the root's descriptor: symbolic links,
`..` and absolute links stay inside, whatever another process renames meanwhile (CVE-2021-30465,
CVE-2024-45310). Missing parents are made one mkdirat(2) at a time.
"""

from __future__ import annotations

import errno
import os
import stat

from runtime.linux.paths import (
    RESOLVE_IN_ROOT,
    RESOLVE_NO_SYMLINKS,
    openat2,
)

MAX_LINKS = 40  # as the kernel's own limit (path_resolution(7))


def open_path(root: int, path: str, flags: int = os.O_PATH) -> int:
    """Open an existing path inside the root. OSError as openat2(2)."""
    return openat2(root, path, flags, RESOLVE_IN_ROOT)


def open_real_directory(root: int, path: str) -> int:
    """Open a directory to which no component is a symbolic link (ELOOP, ENOTDIR otherwise)."""
    flags = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW
    return openat2(root, path, flags, RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS)


def open_or_create(root: int, path: str, directory: bool, mode: int = 0o755) -> tuple[int, bool]:
    """A descriptor (O_PATH) of path, made where it is missing; and whether it was.

    directory: what to make of the last component: a directory, or an empty file. Dangling symbolic
    links are followed inside the root and their target is made. Parents get mode 0755.
    """
    pending = _parts(path)
    try:
        return openat2(root, "/".join(pending) or ".", os.O_PATH, RESOLVE_IN_ROOT), False
    except FileNotFoundError:
        pass  # from here on one component after the other
    done: list[str] = []
    links = 0
    created = False
    current = os.dup(root)
    try:
        while pending:
            name = pending.pop(0)
            last = not pending
            try:
                found = openat2(root, "/".join([*done, name]), os.O_PATH, RESOLVE_IN_ROOT)
            except FileNotFoundError:
                target = _link_target(current, name)
                if target is not None:
                    links += 1
                    if links > MAX_LINKS:
                        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP)) from None
                    pending = _parts(target) + pending
                    if target.startswith("/"):
                        done = []
                        os.close(current)
                        current = os.dup(root)
                    continue
                _make(current, name, directory or not last, mode if last else 0o755)
                created = True
                found = openat2(current, name, os.O_PATH | os.O_NOFOLLOW, RESOLVE_IN_ROOT)
            os.close(current)
            current = found
            done.append(name)
        return current, created
    except BaseException:
        os.close(current)
        raise


def is_directory(fd: int) -> bool:
    """Whether a descriptor is of a directory."""
    return stat.S_ISDIR(os.fstat(fd).st_mode)


def split(path: str) -> tuple[str, str]:
    """(parent, name) of a normalised absolute path."""
    parent, _, name = path.rpartition("/")
    return parent or "/", name


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part not in ("", ".")]


def _link_target(directory: int, name: str) -> str | None:
    try:
        return os.readlink(name, dir_fd=directory)
    except OSError:
        return None


def _make(directory: int, name: str, as_directory: bool, mode: int) -> None:
    try:
        if as_directory:
            os.mkdir(name, mode, dir_fd=directory)
        else:
            flags = os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            os.close(os.open(name, flags, 0o644, dir_fd=directory))
    except FileExistsError:
        pass  # another container on a shared volume made it first; what it is is checked later
