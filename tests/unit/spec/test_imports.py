"""Reading a configuration must stay cheap: every container start pays for it."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]

ALLOWED = {
    "__future__",
    "_collections_abc",
    "_json",
    "_stat",
    "errno",
    "genericpath",
    "os",
    "os.path",
    "posixpath",
    "runtime",
    "runtime.errors",
    "runtime.jsonio",
    "stat",
}

PROGRAM = f"""
import sys
before = set(sys.modules)
sys.path.insert(0, {str(ROOT)!r})
import runtime.spec
runtime.spec.parse(runtime.spec.render(runtime.spec.default_spec()).encode())
print(*sorted(set(sys.modules) - before))
"""


def test_nothing_expensive_is_imported() -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", PROGRAM], capture_output=True, text=True, check=True
    )

    modules = set(done.stdout.split())
    assert {m for m in modules if not m.startswith("runtime.spec")} <= ALLOWED
    assert "runtime.spec.rules" in modules
    assert "runtime.spec.types" not in modules
