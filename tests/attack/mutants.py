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

_COPIES_THROUGH_LINKS = (
    "runtime/init/copyup.py",
    "flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC",
    "flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC",
)

_ANY_ROOT = ("runtime/state.py", "if info.st_uid not in (0, os.geteuid()) or (", "if False and (")

MUTANTS = {
    "unsealed": _mutant(
        "the sealed interpreter",
        ("runtime/seal.py", "if filesystem_type(fd) == OVERLAYFS_SUPER_MAGIC:", "if True:"),
        (
            "runtime/seal.py",
            "return bool(os.fstatvfs(fd).f_flag & _ST_RDONLY) and _ours(fd)",
            "return True",
        ),
    ),
    "kept-bind": _mutant(
        "the overlay under the interpreter that is kept",
        ("runtime/kept.py", "seal.overlay(home)", "m.open_tree(m.AT_FDCWD, home, 1)"),
        ("runtime/seal.py", "if filesystem_type(fd) == OVERLAYFS_SUPER_MAGIC:", "if is_kept(fd):"),
        (
            "runtime/seal.py",
            "return bool(os.fstatvfs(fd).f_flag & _ST_RDONLY) and _ours(fd)",
            "return True",
        ),
        (
            "runtime/seal.py",
            'return kind == "overlay" and source == "creche" and not writable',
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
            "runtime/init/hooking.py",
            '        "createContainer": plan["create_container_hooks"],',
            '        "createContainer": [{**hook, "env": plan["process"]["env"]}\n'
            '                for hook in plan["create_container_hooks"]],',
        ),
    ),
    "lenient-users": _mutant(
        "refusing users that are no plain numbers",
        (
            "runtime/cli/process.py",
            "    if digits.isascii() and digits.isdigit()",
            "    if not digits.isdigit():\n        return 0\n"
            "    if digits.isascii() and digits.isdigit()",
        ),
    ),
    "any-id": _mutant(
        "the list of characters for container ids",
        ("runtime/state.py", "    allowed = all(", "    return\n    allowed = all("),
    ),
    "climbing-cgroups": _mutant(
        "refusing `..` in cgroup paths",
        ("runtime/cgroups/paths.py", 'if part == "..":', "if False:"),
        ("runtime/spec/rules.py", 'if ".." in cgroup.replace(":", "/").split("/"):', "if False:"),
    ),
    "climbing-exec": _mutant(
        "refusing `..` in exec --cgroup",
        ("runtime/cgroups/within.py", 'if ".." in parts or "\\0" in path:', "if False:"),
    ),
    "any-sysctl": _mutant(
        "the list of sysctls that belong to a namespace",
        ("runtime/spec/sysctl.py", "if namespace is None:", "if False:"),
        ("runtime/spec/sysctl.py", "if namespace not in namespaces:", "if False:"),
    ),
    "copies-what-links-lead-to": _mutant(
        "copying symbolic links as such",
        (
            "runtime/init/copyup.py",
            "info = os.stat(name, dir_fd=source, follow_symlinks=False)",
            "info = os.stat(name, dir_fd=source)",
        ),
        (
            "runtime/init/copyup.py",
            "flags = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK",
            "flags = os.O_CLOEXEC | os.O_NONBLOCK",
        ),
        _COPIES_THROUGH_LINKS,
    ),
    "copies-through-links": _mutant(
        "O_NOFOLLOW for directories that are copied", _COPIES_THROUGH_LINKS
    ),
    "chowns-null": _mutant(
        "leaving the host's null device alone",
        (
            "runtime/init/credentials.py",
            "if info.st_uid == uid or (stat.S_ISCHR(info.st_mode) and info.st_rdev == null):",
            "if info.st_uid == uid:",
        ),
    ),
    "reopens-null": _mutant(
        "opening /dev/null outside for a standard stream that is closed",
        (
            "runtime/init/become.py",
            "    credentials.own_stdio(plan[\"uid\"])\n",
            "    if os.readlink(\"/proc/self/fd/0\") == \"/dev/null\":\n"
            "        os.dup2(os.open(\"/dev/null\", os.O_RDWR), 0)\n"
            "    credentials.own_stdio(plan[\"uid\"])\n",
        ),
    ),
    "no-session": _mutant(
        "a session of the container's own",
        (
            "runtime/init/main.py",
            "        os.setsid()\n        os.umask(0o022)",
            "        os.umask(0o022)",
        ),
        ("runtime/enter.py", "            os.setsid()\n", ""),
    ),
    "callers-signals": _mutant(
        "default dispositions and an empty mask of signals",
        ("runtime/init/become.py", "    credentials.reset_signals()\n", ""),
    ),
    "callers-umask": _mutant(
        "a umask that does not depend on the caller",
        ("runtime/init/main.py", "os.umask(0o022)  # the caller's", "pass  # the caller's"),
        ("runtime/init/credentials.py", '    os.umask(plan["umask"])\n', ""),
    ),
    "callers-environment": _mutant(
        "an environment from the configuration alone",
        ("runtime/init/program.py", "    env = {}\n", "    env = dict(os.environ)\n"),
    ),
    "listens-for-others": _mutant(
        "the check that sockets were passed to this very process",
        ("runtime/cli/launching.py", 'owner not in {"", str(os.getpid())}', "False"),
    ),
    "open-state": _mutant(
        "modes of state files that do not depend on the caller",
        ("runtime/state.py", "os.mkdir(self.path, 0o700)", "os.mkdir(self.path)"),
        ("runtime/state.py", "os.makedirs(root, 0o700,", "os.makedirs(root,"),
        ("runtime/state.py", "(temporary, flags, 0o600)", "(temporary, flags, 0o666)"),
        _ANY_ROOT,
    ),
    "any-root": _mutant(
        "refusing a state root that others can change",
        _ANY_ROOT,
    ),
    "abstract-start": _mutant(
        "a start socket in the state directory",
        (
            "runtime/startsocket.py",
            "        sock.bind(path)\n",
            '        sock.bind("\\0" + directory.rpartition("/")[2])\n',
        ),
    ),
    "writable-cgroups": _mutant(
        "read-only cgroup mounts",
        ("runtime/init/mounts.py", 'm.mount_setattr(bound, op["set"], op["clear"])', "pass"),
        (
            "runtime/init/mounts.py",
            "            m.mount_setattr(tree, m.MOUNT_ATTR_RDONLY)\n",
            "            pass\n",
        ),
    ),
    "writable-sys": _mutant(
        "the read-only bind of the host's /sys where sysfs cannot be mounted",
        (
            "runtime/init/mounts.py",
            'm.mount_setattr(tree, op["set"] | m.MOUNT_ATTR_RDONLY, recursive=True)',
            'm.mount_setattr(tree, op["set"])',
        ),
    ),
    "any-device": _mutant(
        "the device rules of the container's cgroup",
        (
            "runtime/launch.py",
            'plan["cgroup_devices"],\n                tolerant=',
            "None,\n                tolerant=",
        ),
    ),
    "follows-sources": _mutant(
        "src-nofollow",
        (
            "runtime/init/mounts.py",
            'flags |= 0 if op["follow_source"] else m.AT_SYMLINK_NOFOLLOW',
            "pass",
        ),
    ),
    "any-namespace": _mutant(
        "the proof of a namespace's type",
        ("runtime/joining.py", "    if found != ns.FLAGS[kind]:\n", "    if found == -1:\n"),
        ("runtime/joining.py", "ns.setns(fd, ns.FLAGS[kind])", "ns.setns(fd, 0)"),
    ),
    "hosts-sysctls": _mutant(
        "comparing a joined namespace with the host's",
        ("runtime/joining.py", "            _refuse_host_sysctl(plan, kind, fd, key)\n", ""),
    ),
    "mounts-wander": _mutant(
        "cutting propagation to the host for every mount, not the root's alone",
        ("runtime/plan/compile.py", '"": m.MS_SLAVE | m.MS_REC,', '"": m.MS_PRIVATE,'),
    ),
    "short-documents": _mutant(
        "documents beside a message, by descriptor",
        (
            "runtime/channel.py",
            "        if document is not None:\n",
            "        if document is not None:\n"
            '            message, document = {**message, "document": document}, None\n'
            "        if document is not None:\n",
        ),
        (
            "runtime/init/main.py",
            "return talking, read_document(received[1])",
            'return talking, received[0].get("document", {})',
        ),
        (
            "runtime/init/main.py",
            'return received[0]["type"], read_document(received[1])',
            'return received[0]["type"], received[0].get("document", {})',
        ),
    ),
    "any-number": _mutant(
        "the bound for arrays",
        ("runtime/spec/schema.py", "if len(value) > MAX_ENTRIES:", "if False:"),
    ),
    "any-property": _mutant(
        "the list of properties that an annotation may set",
        (
            "runtime/systemd/annotations.py",
            "kind = ALLOWED.get(name)",
            'kind = ALLOWED.get(name, "s")',
        ),
    ),
    "remembers-all": _mutant(
        "keeping but the end of what a hook prints",
        ("hooks/tail.py", "if len(self._kept) > 2 * self.limit:", "if False:"),
        ("hooks/tail.py", "self._kept += chunk[-self.limit :]", "self._kept += chunk"),
    ),
    "waits-for-output": _mutant(
        "an end that is the end of the hook's process",
        (
            "hooks/run.py",
            "        if self.pidfd in [fd for fd, _ in events]:\n",
            "        if self.pidfd in [fd for fd, _ in events] and max(self._parent[1:3]) < 0:\n",
        ),
    ),
    "prints-environment": _mutant(
        "messages without values of variables",
        (
            "runtime/init/program.py",
            """raise InitError(f'exec: "{name}": {detail}', problem, "exec")""",
            """raise InitError(f'exec: "{name}" in {env}: {detail}', problem, "exec")""",
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
