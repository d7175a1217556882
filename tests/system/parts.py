"""Which tests run in the machine.

Emulation makes a test 15 to 40 times slower, so it is a selection: what depends on cgroup v2 with
all its controllers or on Debian 12's kernel (6.1), and a cross-section of the rest. Files that a
developer has not written yet are passed over.
"""

from __future__ import annotations

from tests.support.repository import REPOSITORY

SLOWNESS = 20  # factor for the tests' own deadlines

# Path -> the tests (pytest's -k, without the file) that are run; None: all.
_INTEGRATION: dict[str, tuple[str, ...] | None] = {
    "tests/integration/test_cgroups.py": None,
    "tests/integration/test_seccomp.py": None,
    "tests/integration/test_hooks.py": None,
    "tests/integration/test_harness.py": None,
}


def arguments(part: str) -> list[str]:
    """Return pytest's arguments for a part."""
    common = ["-q", "-o", "faulthandler_timeout=600", "--durations=10"]
    if part == "service":
        return [*common, "tests/system/test_service.py"]
    paths = []
    for path, tests in _INTEGRATION.items():
        if (REPOSITORY / path).exists():
            paths += [path] if tests is None else [f"{path}::{test}" for test in tests]
    return [*common, *paths]


PARTS = ("integration", "service")
