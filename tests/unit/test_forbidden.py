"""Calls that have hurt other runtimes, or would hurt this one, do not come back unnoticed.

Each rule has its reason; each exception names the file and says why it is none.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from tests.support.repository import Module, modules

OURS = ("supervisor", "runtime", "hooks")


def _dotted(node: ast.AST) -> str:
    """Return ``a.b.c`` for a name or a chain of attributes, else an empty string."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        base = _dotted(node.value)
        return f"{base}.{node.attr}" if base else ""
    return ""


def _calls(tree: ast.AST) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def calls_to(*names: str) -> Callable[[ast.AST], Iterator[int]]:
    """Find calls by dotted name; ``os.exec*p`` stands for whatever matches."""

    def find(tree: ast.AST) -> Iterator[int]:
        return (call.lineno for call in _calls(tree) if _dotted(call.func) in names)

    return find


def keyword(name: str, value: object = ...) -> Callable[[ast.AST], Iterator[int]]:
    """Find calls with a keyword argument, or with one that has this constant value."""

    def find(tree: ast.AST) -> Iterator[int]:
        for call in _calls(tree):
            for argument in call.keywords:
                constant = isinstance(argument.value, ast.Constant)
                if argument.arg == name and (
                    value is ... or (constant and argument.value.value is value)  # type: ignore[attr-defined]
                ):
                    yield call.lineno

    return find


def bare_except(tree: ast.AST) -> Iterator[int]:
    """Find ``except:``."""
    return (
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.ExceptHandler) and node.type is None
    )


def open_for_writing(tree: ast.AST) -> Iterator[int]:
    """Find ``open(path, "w")`` and its relatives."""
    for call in _calls(tree):
        if _dotted(call.func) != "open":
            continue
        given = [argument.value for argument in call.keywords if argument.arg == "mode"]
        given += call.args[1:2]
        for mode in given:
            if not isinstance(mode, ast.Constant) or set(str(mode.value)) & set("wax+"):
                yield call.lineno


@dataclass(frozen=True)
class Rule:
    """What is forbidden, where, and why."""

    name: str
    where: tuple[str, ...]  # path prefixes
    reason: str
    find: Callable[[ast.AST], Iterator[int]]
    except_in: tuple[tuple[str, str], ...] = ()  # (path, why it is right there)


RULES = [
    Rule(
        "shell",
        (*OURS, "tests"),
        "a shell reads words that somebody else wrote; argv lists only",
        keyword("shell", True),
    ),
    Rule(
        "os.system",
        (*OURS, "tests"),
        "a shell reads words that somebody else wrote; argv lists only",
        calls_to("os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput"),
    ),
    Rule(
        "preexec_fn",
        OURS,
        "runs Python between fork and exec, where a lock of another thread may be held",
        keyword("preexec_fn"),
    ),
    Rule(
        "os.execvp",
        OURS,
        "searches PATH and imports `warnings` after the root has changed: the image's module ran",
        calls_to("os.execvp", "os.execvpe", "os.execlp", "os.execlpe"),
    ),
    Rule(
        "os.fork in the supervisor",
        ("supervisor",),
        "trio has threads; the launcher clones",
        calls_to("os.fork", "os.forkpty", "pty.fork"),
    ),
    Rule(
        "find_library",
        OURS,
        "starts gcc and ldconfig; open libraries by their soname, before the first namespace step",
        calls_to("ctypes.util.find_library", "find_library", "util.find_library"),
    ),
    Rule(
        "eval",
        OURS,
        "state and configuration are data",
        calls_to("eval", "exec", "pickle.load", "pickle.loads", "marshal.loads"),
        except_in=(
            ("runtime/pack.py", "imports modules, from byte code that is root's"),
            ("runtime/packing.py", "copies byte code from beside the sources"),
        ),
    ),
    Rule(
        "bare except",
        (*OURS, "tests"),
        "swallows SystemExit, KeyboardInterrupt and trio.Cancelled",
        bare_except,
    ),
    Rule(
        "paths in the container's file system",
        ("runtime/init/",),
        "a joined path follows the image's links to the host (CVE-2019-5736, CVE-2021-30465, "
        "CVE-2024-45310); go step by step from a descriptor (runtime/init/inroot.py)",
        calls_to(
            "os.makedirs",
            "os.path.join",
            "os.path.realpath",
            "os.path.exists",
            "os.path.isdir",
            "os.path.isfile",
            "os.removedirs",
            "os.walk",
        ),
        except_in=(("runtime/init/program.py", "runs after the pivot: / is the container's"),),
    ),
    Rule(
        "open for writing in the child",
        ("runtime/init/",),
        "truncates what a link of the image leads to (CVE-2024-45310)",
        open_for_writing,
    ),
    Rule(
        "sleep",
        (*OURS, "tests"),
        "wait for the event: a pidfd, a pipe, inotify, poll",
        calls_to("time.sleep"),
        except_in=tuple(
            (f"runtime/cgroups/{name}.py", "cgroup v1 has no event for this")
            for name in ("freezer", "kill", "tree")
        ),
    ),
    Rule(
        "wall clock",
        ("supervisor",),
        "intervals are measured with a clock that nobody sets",
        calls_to("datetime.now", "datetime.datetime.now", "datetime.utcnow", "time.time"),
        except_in=(
            ("supervisor/logs.py", "stamps what people read with the time of day"),
            ("supervisor/output/clock.py", "stamps what people read with the time of day"),
            ("supervisor/control/outside.py", "tells the time of day next to the steady clock"),
        ),
    ),
    Rule(
        "tempfile.mktemp",
        (*OURS, "tests"),
        "somebody else can make the file first",
        calls_to("tempfile.mktemp"),
    ),
]


def _violations(rule: Rule, module: Module) -> Iterator[str]:
    path = str(module.path)
    if not path.startswith(rule.where) or path in dict(rule.except_in):
        return
    for line in rule.find(module.tree):
        yield f"{path}:{line}: {rule.name}: {rule.reason}"


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_forbidden(rule: Rule) -> None:
    """No module breaks the rule, and every exception is still needed."""
    found = [text for module in modules() for text in _violations(rule, module)]
    assert not found, "\n" + "\n".join(found)

    for path, why in rule.except_in:
        (module,) = [module for module in modules() if str(module.path) == path]
        assert list(rule.find(module.tree)), f"{path} needs no exception any more ({why})"


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("subprocess.run(x, shell=True)", "shell"),
        ("os.system('x')", "os.system"),
        ("subprocess.Popen(x, preexec_fn=f)", "preexec_fn"),
        ("os.execvp('a', ['a'])", "os.execvp"),
        ("try:\n  pass\nexcept:\n  pass", "bare except"),
        ("open(path, 'w')", "open for writing in the child"),
        ("open(path, mode='r+')", "open for writing in the child"),
        ("os.makedirs(rootfs)", "paths in the container's file system"),
        ("time.sleep(1)", "sleep"),
    ],
)
def test_the_rules_find_what_they_forbid(source: str, name: str) -> None:
    """A rule that finds nothing anywhere would pass just as well."""
    (rule,) = [rule for rule in RULES if rule.name == name]

    assert list(rule.find(ast.parse(source)))


@pytest.mark.parametrize(
    "source",
    ["open(path)", "open(path, 'rb')", "subprocess.run(x, shell=False)", "os.execve(a, b, c)"],
)
def test_the_rules_let_the_rest_pass(source: str) -> None:
    """Reading a file, for example, is no offence."""
    assert not [rule.name for rule in RULES if list(rule.find(ast.parse(source)))]
