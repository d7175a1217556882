"""The architecture and the house rules, as tests, so that no reviewer has to notice."""

from __future__ import annotations

import ast
import re
import statistics
import subprocess
import sys
from collections.abc import Iterable

import pytest

from tests.support.repository import PACKAGES, REPOSITORY, Module, files, modules

# Imports run one way: `hooks` knows nothing of containers, `runtime` nothing of a supervisor.
MAY_IMPORT = {
    "hooks": {"hooks"},
    "runtime": {"runtime", "hooks"},
    "supervisor": {"supervisor", "runtime", "hooks"},
    "tests": {"tests", "supervisor", "runtime", "hooks"},
}

# Other people's packages, and where each may be used.
MAY_USE = {
    "hooks": {"trio": {"hooks/concurrent.py"}},
    "runtime": {"jeepney": {"runtime/systemd/bus.py", "runtime/systemd/library.py"}},
    "supervisor": {
        **dict.fromkeys(("trio", "structlog", "pyroute2", "pyinotify", "outcome")),
        "h11": {"supervisor/control/connection.py"},
        "prometheus_client": {"supervisor/control/metrics.py"},
        "rich": {"supervisor/ctl/net.py", "supervisor/ctl/table.py", "supervisor/ctl/top.py"},
    },
    "tests": {
        **dict.fromkeys(("pytest", "hypothesis", "trio", "pytest_trio", "structlog")),
        **dict.fromkeys(
            (
                "h11",
                "rich",
                "prometheus_client",
                "openapi_spec_validator",
                "jsonschema",
                "selenium",
                "dns",
            )
        ),
        "atheris": {"tests/fuzz/__main__.py"},
    },
}

# What the runtime may import at start-up: modules that are cheap, or needed by Python anyway. The
# child runs with an empty import system, so whatever it needs is imported here, at the top.
START_UP_BUDGET = {
    "__future__", "_ctypes", "_frozen_importlib", "_json", "_signal", "_socket", "_struct",
    "binascii", "ctypes", "errno", "fcntl", "gc", "marshal", "os", "select", "signal",
    "socket", "stat", "struct", "sys", "termios", "time",
}  # fmt: skip

# Never part of a start-up, whoever imports them: each costs milliseconds for every container, and
# some look up names or start programs (ctypes.util runs gcc and ldconfig).
TOO_DEAR = {
    "argparse", "collections", "contextlib", "ctypes.util", "dataclasses", "datetime", "enum",
    "functools", "grp", "inspect", "json", "logging", "pathlib", "pwd", "pyinotify", "pyroute2",
    "re", "shutil", "site", "structlog", "subprocess", "tempfile", "traceback", "trio", "typing",
}  # fmt: skip

LONGEST_FILE = 450  # lines
LONGEST_TEST = 800
MEDIAN_FILE = 200
LONGER_FILES = {  # path -> why it may be longer
    "tests/unit/spec/malformed.py": "a table of malformed configurations and their messages",
}

# Names that belong to somebody's machine or to a package registry. In pieces, so that this file
# does not contain what it looks for.
NOT_COMMITTED = [
    "/work" + "/",
    ".." + "/shared",
    "pypi" + ".org",
    "python" + "hosted.org",
    "deb." + "debian.org",
    "npmjs" + ".org",
    "/home" + "/runner",
]


def _of(*packages: str) -> list[Module]:
    return [module for module in modules() if module.package in packages]


def _complain(problems: Iterable[str]) -> None:
    found = sorted(problems)
    assert not found, "\n" + "\n".join(found)


def test_imports_run_one_way() -> None:
    """supervisor -> runtime -> hooks, and nothing of ours imports the tests."""
    _complain(
        f"{module.path}:{statement.line} imports {statement.module}"
        for module in modules()
        for statement in module.imports()
        if (top := statement.module.partition(".")[0]) in PACKAGES
        and top not in MAY_IMPORT[module.package]
    )


def test_other_peoples_packages() -> None:
    """The runtime has the standard library; a third-party package is used where it is allowed."""
    _complain(
        f"{module.path}:{statement.line} imports {statement.module}"
        for module in modules()
        for statement in module.imports()
        if (top := statement.module.partition(".")[0]) not in PACKAGES
        and top not in sys.stdlib_module_names
        and not _may_use(module, top)
    )


def _may_use(module: Module, name: str) -> bool:
    allowed: dict[str, set[str] | None] = MAY_USE[module.package]  # type: ignore[assignment]
    if name not in allowed:
        return False
    only_in = allowed[name]
    return only_in is None or str(module.path) in only_in


def test_start_up_imports_stay_cheap() -> None:
    """What `runtime` and `hooks` import at the top of a file is within the budget."""
    _complain(
        f"{module.path}:{statement.line} imports {statement.module}"
        for module in _of("runtime", "hooks")
        if str(module.path) != "hooks/concurrent.py" and module.path.name != "types.py"
        for statement in module.imports()
        if statement.at_start
        and (top := statement.module.partition(".")[0]) not in PACKAGES
        and (top not in START_UP_BUDGET or statement.module in TOO_DEAR)
    )


def test_modules_of_types_are_for_type_checkers() -> None:
    """`types.py` may use `typing`, because nothing that runs imports it."""
    _complain(
        f"{module.path}:{statement.line} imports {statement.module}"
        for module in _of("runtime", "hooks")
        for statement in module.imports()
        if module.path.name != "types.py"
        and statement.module.partition(".")[0] in PACKAGES
        and statement.module.endswith(".types")
    )


def test_dear_modules_are_not_imported_at_all() -> None:
    """A lazy import would do for speed; for these there is no place in the runtime at all."""
    banned = {
        "pwd": "asks the name service, which may load the image's libnss (CVE-2019-14271)",
        "grp": "asks the name service, which may load the image's libnss (CVE-2019-14271)",
        "ctypes.util": "find_library starts gcc and ldconfig; open libraries by their soname",
        "pickle": "state is data, not code",
        "marshal": "state is data, not code",
        "json": "accepts NaN and duplicate keys; use runtime.jsonio",
    }
    accepted = {
        # Lists owners by name as runc does: on the host, and in no container's process.
        ("runtime/commands/list.py", "pwd"),
        # Byte code is code: what the interpreter itself would read, and as well guarded.
        ("runtime/pack.py", "marshal"),
        ("runtime/packing.py", "marshal"),
    }
    _complain(
        f"{module.path}:{statement.line} imports {statement.module}: {banned[statement.module]}"
        for module in _of("runtime", "hooks")
        for statement in module.imports()
        if statement.module in banned and (str(module.path), statement.module) not in accepted
    )


def test_the_command_line_starts_light() -> None:
    """Importing it, in the interpreter as `creche` starts it, loads nothing that is dear."""
    program = (
        "import sys; sys.path.append(sys.argv[1]); import runtime.cli.main; "
        "print('\\n'.join(sys.modules))"
    )
    command = [sys.executable, "-I", "-S", "-B", "-c", program, str(REPOSITORY)]
    loaded = set(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split())

    assert "runtime.cli.main" in loaded
    _complain(f"loaded: {name}" for name in loaded & TOO_DEAR)
    _complain(f"loaded: {name}" for name in loaded if name.startswith("supervisor"))


def test_every_module_has_a_docstring() -> None:
    """The first line says what the module is for."""
    _complain(
        str(module.path)
        for module in modules()
        if module.source.strip() and not ast.get_docstring(module.tree)
    )


def test_files_stay_small() -> None:
    """One idea per file. A longer file needs its reason in LONGER_FILES."""
    sizes = {str(module.path): module.source.count("\n") for module in modules()}

    _complain(
        f"{path} has {lines} lines"
        for path, lines in sizes.items()
        if lines > _limit(path) and path not in LONGER_FILES
    )
    _complain(
        f"{path} is listed as long and has {sizes.get(path, 0)} lines"
        for path in LONGER_FILES
        if sizes.get(path, 0) <= _limit(path)
    )
    assert statistics.median(sizes.values()) <= MEDIAN_FILE


def test_each_module_of_the_runtime_is_on_the_map() -> None:
    """docs/architecture.md has a line for each, and for none that is not there."""
    text = (REPOSITORY / "docs/architecture.md").read_text()
    listed = re.findall(r"^\* `([\w/]+\.py)`: \S", text, re.MULTILINE)
    there = [
        str(module.path.relative_to("runtime"))
        for module in _of("runtime")
        if module.source.strip()
    ]

    assert sorted(listed) == sorted(there)


def _limit(path: str) -> int:
    if path.startswith("runtime/"):
        return 400
    return LONGEST_TEST if path.startswith("tests/") else LONGEST_FILE


@pytest.mark.parametrize("text", NOT_COMMITTED)
def test_nothing_of_one_machine_is_committed(text: str) -> None:
    """No path of a developer's machine and no registry's host name is in any file."""
    found = []
    for path in files():
        content = (REPOSITORY / path).read_bytes()
        found += [
            f"{path}:{number}"
            for number, line in enumerate(content.splitlines(), 1)
            if text.encode() in line
        ]
    _complain(found)


def test_the_licence_is_there() -> None:
    """The text is in the repository and the package names it."""
    text = (REPOSITORY / "LICENSE").read_text()

    assert "Apache License" in text
    assert "Version 2.0, January 2004" in text
    assert "Apache-2.0" in (REPOSITORY / "pyproject.toml").read_text()


def test_the_readme_opens_with_two_commands() -> None:
    """Demo and tests, before anything is explained."""
    first_block = (REPOSITORY / "README.md").read_text().split("```")[1]

    assert re.findall(r"^\./dev (\w+)", first_block, re.MULTILINE) == ["demo", "test"]


def test_links_in_documents_lead_somewhere() -> None:
    """Each relative link of each Markdown file names a file that exists."""
    found = []
    for path in files():
        if path.suffix != ".md":
            continue
        for target in re.findall(r"\]\(([^)#\s]+)", (REPOSITORY / path).read_text()):
            if "://" not in target and not (REPOSITORY / path.parent / target).exists():
                found.append(f"{path}: {target}")
    _complain(found)


def test_documents_can_be_found() -> None:
    """Every file in docs/ is linked from the README or from another document."""
    texts = [(path, (REPOSITORY / path).read_text()) for path in files() if path.suffix == ".md"]
    _complain(
        f"{path} is linked from nowhere"
        for path, _ in texts
        if path.parts[0] == "docs"
        and not any(f"{path.name})" in text or f"{path.name}#" in text for _, text in texts)
    )


def test_the_changelog_knows_the_version() -> None:
    """The version in pyproject.toml has its section."""
    match = re.search(
        r'^version = "(.+)"', (REPOSITORY / "pyproject.toml").read_text(), re.MULTILINE
    )
    assert match is not None

    assert f"## [{match[1]}]" in (REPOSITORY / "CHANGELOG.md").read_text()


def test_requirements_are_pinned() -> None:
    """Every line of requirements.lock names one version, and creche's own needs are among them."""
    lines = [
        line.partition(";")[0].strip()
        for line in (REPOSITORY / "requirements.lock").read_text().splitlines()
        if line.strip() and not line.startswith("#")
    ]
    pinned = {}
    for line in lines:
        match = re.fullmatch(r"([A-Za-z0-9._-]+)==([A-Za-z0-9.]+)", line)
        assert match is not None, line
        pinned[match[1].lower()] = match[2]

    project = (REPOSITORY / "pyproject.toml").read_text()
    wanted = re.findall(r'^\s*"([A-Za-z0-9_-]+)>=', project, re.MULTILINE)
    assert wanted
    _complain(name for name in wanted if name.lower() not in pinned and name != "setuptools")
