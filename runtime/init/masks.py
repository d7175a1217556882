"""maskedPaths and readonlyPaths (config-linux.md#masked-paths, #readonly-paths).

A masked file is covered by the host's verified /dev/null, never by the image's (CVE-2025-31133);
masked directories share one read-only, empty tmpfs, so a long list costs one superblock.
"""

from __future__ import annotations

import errno
import os

import runtime.linux.mounts as m
from runtime.errors import KernelError
from runtime.init.inroot import is_directory, open_path

_ABSENT = (errno.ENOENT, errno.ENOTDIR)


def mask(root: int, paths: list[str], null: int) -> None:
    """Cover each path that exists. null: descriptor of the host's /dev/null, still attached."""
    empty = -1
    try:
        for index, path in enumerate(paths):
            key = f"linux.maskedPaths[{index}]"
            target = _open_if_there(root, path, key)
            if target is None:
                continue
            try:
                if is_directory(target):
                    if empty < 0:
                        empty = _empty_directory()
                        m.attach(empty, target)
                    else:
                        _attach_copy(empty, target)
                else:
                    _attach_copy(null, target)
            except OSError as error:
                raise KernelError("mask", path, error.errno or 0, key) from None
            finally:
                os.close(target)
    finally:
        if empty >= 0:
            os.close(empty)


def make_readonly(root: int, paths: list[str]) -> None:
    """Bind each path that exists onto itself, recursively read-only."""
    for index, path in enumerate(paths):
        key = f"linux.readonlyPaths[{index}]"
        target = _open_if_there(root, path, key)
        if target is None:
            continue
        try:
            tree = m.clone_tree(target, recursive=True)
            try:
                m.mount_setattr(tree, m.MOUNT_ATTR_RDONLY, recursive=True)
                m.attach(tree, target)
            finally:
                os.close(tree)
        except OSError as error:
            raise KernelError("make read-only", path, error.errno or 0, key) from None
        finally:
            os.close(target)


def _open_if_there(root: int, path: str, key: str) -> int | None:
    """The specification has paths that are missing passed over."""
    try:
        return open_path(root, path)
    except OSError as error:
        if error.errno in _ABSENT:
            return None
        raise KernelError("open", path, error.errno or 0, key) from None


def _empty_directory() -> int:
    attributes = m.MOUNT_ATTR_RDONLY | m.MOUNT_ATTR_NOSUID | m.MOUNT_ATTR_NODEV
    options: list[tuple[str, str | None]] = [
        ("nr_blocks", "1"),
        ("nr_inodes", "1"),
        ("mode", "755"),
    ]
    return m.new_filesystem("tmpfs", None, options, attributes | m.MOUNT_ATTR_NOEXEC)


def _attach_copy(mount: int, target: int) -> None:
    copy = m.clone_tree(mount)
    try:
        m.attach(copy, target)
    finally:
        os.close(copy)
