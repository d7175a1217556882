"""Copies of the runtime with one defence taken out, to show that an attack is real.

An attack that fails proves little: it may be harmless. So each one is also made against a mutant, a
copy of `runtime` and `hooks` in which a small substitution removes the defence the attack is meant
for, and there it has to succeed. A substitution names text that must be there exactly once; when
the code changes, the mutant says so and does not quietly become the original.

The copies bring their own interpreter along, because what some attacks overwrite is the
interpreter; the machine's own is never used with them.
"""

from __future__ import annotations

import compileall
import os
import py_compile
import shutil
from dataclasses import dataclass
from pathlib import Path

from tests.support.repository import REPOSITORY

PACKAGES = ("runtime", "hooks")


@dataclass(frozen=True)
class Change:
    """One substitution. file: relative to the top; old: has to be there exactly once."""

    file: str
    old: str
    new: str


@dataclass(frozen=True)
class Mutant:
    """A defence, in words, and the changes that take it out."""

    without: str
    changes: tuple[Change, ...]


def _mutant(without: str, *changes: tuple[str, str, str]) -> Mutant:
    return Mutant(without, tuple(Change(*change) for change in changes))


_UNDUMPABLE = "p.prctl(p.PR_SET_DUMPABLE, 0)"
_LAZY = ("runtime/init/program.py", "os.execve(path, args, env)", "os.execvpe(args[0], args, env)")
# Only what Python itself opened goes: all else may have come from whoever called us.
_KEEP_INHERITED = (
    "runtime/init/program.py",
    "    start = first\n",
    "    for fd in range(first, 1024):\n"
    "        try:\n"
    "            if fd not in keep and not os.get_inheritable(fd):\n"
    "                os.close(fd)\n"
    "        except OSError:\n"
    "            pass\n"
    "    return\n"
    "    start = first\n",
)

MUTANTS = {
    "unsealed": _mutant(
        "the sealed interpreter",
        ("runtime/seal.py", "if filesystem_type(fd) == OVERLAYFS_SUPER_MAGIC:", "if True:"),
        (
            "runtime/seal.py",
            "return bool(os.fstatvfs(fd).f_flag & _ST_RDONLY) and _detached(fd)",
            "return True",
        ),
    ),
    "unsealed-memfd": _mutant(
        "the seals of the copy in memory",
        ("runtime/seal.py", "fcntl.fcntl(fd, F_ADD_SEALS, _SEALS)", "pass"),
        (
            "runtime/seal.py",
            "return fcntl.fcntl(fd, F_GET_SEALS) & _SEALS == _SEALS",
            "return True",
        ),
        ("runtime/seal.py", "fd = _overlay_copy(interpreter)", "raise OSError"),
    ),
    "lazy-import": _mutant("an execve that imports nothing", _LAZY),
    "lazy-import-open": _mutant(
        "an execve that imports nothing, and the closed import system",
        _LAZY,
        (
            "runtime/init/seal.py",
            "    sys.path[:] = []\n",
            "    return\n    sys.path[:] = []\n",
        ),
    ),
    "name-service": _mutant(
        "reading passwd as text",
        (
            "runtime/init/program.py",
            'env["HOME"] = _home(plan["uid"])',
            'env["HOME"] = __import__("pwd").getpwuid(plan["uid"]).pw_dir',
        ),
    ),
    "not-isolated": _mutant(
        "the interpreter's isolated mode",
        (
            "runtime/creche",
            'exec "$python" -I -S -B -X utf8 "$main"',
            'exec "$python" -S -B -X utf8 "$main"',
        ),
    ),
    "unproved-cwd": _mutant(
        "the proof that the working directory is inside",
        ("runtime/init/program.py", 'inside = p.getcwd().startswith("/")', "inside = True"),
    ),
    "makes-cwd-by-name": _mutant(
        "making the working directory without magic links",
        (
            "runtime/init/program.py",
            "os.close(open_or_create(root, cwd, directory=True)[0])",
            "os.makedirs(cwd)",
        ),
    ),
    "inherited-descriptors": _mutant(
        "closing every descriptor that was not asked for",
        _KEEP_INHERITED,
    ),
    "inherited-descriptors-unproved-cwd": _mutant(
        "closing descriptors, and the proof of the working directory",
        _KEEP_INHERITED,
        ("runtime/init/program.py", 'inside = p.getcwd().startswith("/")', "inside = True"),
    ),
    "image-null": _mutant(
        "masking with the host's verified /dev/null",
        (
            "runtime/init/main.py",
            'masks.mask(root, plan["masked"], null)',
            'masks.mask(root, plan["masked"], masks.open_path(root, "/dev/null"))',
        ),
    ),
    "any-null": _mutant(
        "the check of what is at /dev/null already",
        ("runtime/init/devices.py", "if not same or (", "if False and ("),
        (
            "runtime/init/main.py",
            'masks.mask(root, plan["masked"], null)',
            'masks.mask(root, plan["masked"], masks.open_path(root, "/dev/null"))',
        ),
    ),
    "leaves-the-root": _mutant(
        "RESOLVE_IN_ROOT for mount points and devices",
        (
            "runtime/init/inroot.py",
            'openat2(root, "/".join([*done, name]), os.O_PATH, RESOLVE_IN_ROOT)',
            'openat2(root, "/".join([*done, name]), os.O_PATH, 0)',
        ),
    ),
    "mounts-by-name": _mutant(
        "mounting on the descriptor that was looked up",
        (
            "runtime/init/mounts.py",
            "        target, created = _target(root, op, wants_directory)\n",
            "        target, created = _target(root, op, wants_directory)\n"
            '        name = os.readlink(f"/proc/self/fd/{target}")\n',
        ),
        (
            "runtime/init/mounts.py",
            '                m.attach(tree, target)\n            except OSError as error:\n'
            '                raise _error("mount"',
            '                m.syscall("move_mount", m.NR_MOVE_MOUNT, tree, b"", m.AT_FDCWD,\n'
            "                    os.fsencode(name), m.MOVE_MOUNT_F_EMPTY_PATH)\n"
            "            except OSError as error:\n"
            '                raise _error("mount"',
        ),
    ),
    "creates-by-name": _mutant(
        "making directories below a descriptor",
        (
            "runtime/init/inroot.py",
            "_make(current, name, ",
            '_make(root, "/".join([*done, name]), ',
        ),
    ),
    "console-by-name": _mutant(
        "looking up /dev/console inside the root",
        (
            "runtime/init/console.py",
            'target, _ = open_or_create(root, "/dev/console", directory=False)',
            'target = os.open(os.readlink(f"/proc/self/fd/{root}") + "/dev/console", os.O_CREAT)',
        ),
    ),
    "linked-proc": _mutant(
        "refusing a symbolic link where proc or sysfs is mounted",
        (
            "runtime/init/mounts.py",
            'if op["fstype"] in ("proc", "sysfs") and op["kind"] == "filesystem":',
            "if False:",
        ),
    ),
    "false-proc": _mutant(
        "the proof that what is bound on /proc is a procfs",
        (
            "runtime/init/mounts.py",
            'if op["kind"] == "bind" and op["destination"] == "/proc":',
            "if False:",
        ),
    ),
    "image-proc": _mutant(
        "writing sysctls to a private procfs, strictly; refusing links that lead mounts into /proc",
        ("runtime/init/mounts.py", "    _refuse_inside_proc(target, op)\n", ""),
        (
            "runtime/init/main.py",
            "self._identity(proc)",
            'self._identity(masks.open_path(root, "/proc"))',
        ),
        (
            "runtime/init/procfs.py",
            "fd = openat2(proc, path, os.O_WRONLY | os.O_NOFOLLOW, _STRICT)",
            "fd = openat2(proc, path, os.O_WRONLY | os.O_NOFOLLOW, 0)",
        ),
    ),
    "inheritable-capabilities": _mutant(
        "keeping added capabilities out of the inheritable set",
        (
            "runtime/cli/process.py",
            '        "permitted": joined(base.get("permitted", []), added),\n',
            '        "permitted": joined(base.get("permitted", []), added),\n'
            '        "inheritable": joined(base.get("inheritable", []), added),\n',
        ),
    ),
    "traceable": _mutant(
        "PR_SET_DUMPABLE 0 while a process in the container is still the runtime",
        ("runtime/init/main.py", _UNDUMPABLE, "pass"),
        ("runtime/init/become.py", _UNDUMPABLE, "pass"),
        ("runtime/init/credentials.py", _UNDUMPABLE, "p.prctl(p.PR_SET_DUMPABLE, 1)"),
    ),
    "hooks-with-process-environment": _mutant(
        "hooks that get their own environment only",
        (
            "runtime/init/main.py",
            '            "createContainer", plan["create_container_hooks"],',
            '            "createContainer", [{**hook, "env": plan["process"]["env"]}\n'
            '                for hook in plan["create_container_hooks"]],',
        ),
    ),
}  # fmt: skip


def apply(tree: Path, mutant: Mutant) -> list[Path]:
    """Make a mutant's changes to a tree; the changed files. Fails if a text is not there once."""
    changed = []
    for change in mutant.changes:
        path = tree / change.file
        text = path.read_text()
        count = text.count(change.old)
        assert count == 1, f"{change.file} has {count} times what should be replaced: {change.old}"
        mode = path.stat().st_mode
        path.unlink()  # it may be a link to the original
        path.write_text(text.replace(change.old, change.new))
        path.chmod(mode)
        changed.append(path)
    return changed


def copy_packages(tree: Path) -> None:
    """Copy the packages and an interpreter, compiled: `-B` would compile them at each start."""
    tree.mkdir(parents=True)
    for package in PACKAGES:
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(REPOSITORY / package, tree / package, ignore=ignore)
    # `creche` takes the interpreter that lies next to it.
    shutil.copy2(os.path.realpath("/proc/self/exe"), tree / "runtime/python3")
    for package in PACKAGES:
        assert compileall.compile_dir(tree / package, quiet=1)


def copy_tree(base: Path, tree: Path, mutant: Mutant | None) -> None:
    """A copy of what copy_packages made, changed."""
    shutil.copytree(base, tree, copy_function=_link)
    # Not as a link: this one is attacked.
    (tree / "runtime/python3").unlink()
    shutil.copy2(base / "runtime/python3", tree / "runtime/python3")
    for path in apply(tree, mutant) if mutant else ():
        if path.suffix == ".py":
            py_compile.compile(str(path), doraise=True)


def _link(source: str, target: str) -> None:
    os.link(source, target)
