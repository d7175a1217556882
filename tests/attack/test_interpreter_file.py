"""CVE-2019-5736: an entry point that runs the runtime's own executable, to overwrite it.

For a runtime in Python that is the python3 of the whole machine. The image here is one in which any
Python starts; its entry point is `#!/proc/self/exe`, opens that file, lets go of Python, and writes
to the file as soon as nobody executes it any more.
"""

from __future__ import annotations

import pytest

from tests.attack.image import add_python
from tests.attack.lab import Copy, Lab, digest
from tests.support.bundle import Bundle
from tests.support.runtimes import Runtime
from tests.support.waiting import wait_path

pytestmark = pytest.mark.root

EVIL = """#!/proc/self/exe
import os
fd = os.open("/proc/self/exe", os.O_RDONLY)
os.set_inheritable(fd, True)
os.execv("/bin/sh", ["sh", "/overwrite", str(fd)])
"""
# The kernel refuses to write to a file that is executed (ETXTBSY), so this waits until no process
# runs from it any more, with an end.
OVERWRITE = """
n=0
echo still busy >/said
while [ $n -lt 2000 ]; do
    if (echo owned >/proc/self/fd/$1) 2>/said; then echo written >/said; break; fi
    grep -q busy /said || break
    n=$((n + 1))
    usleep 5000
done
mv /said /verdict
"""
WAYS = {"script": ["/evil"], "directly": ["/proc/self/exe", "-I", "/evil"]}


def evil_bundle(lab: Lab, runtime: Copy, args: list[str]) -> Bundle:
    made = lab.bundle(args=args)
    add_python(made.rootfs, runtime.interpreter)
    evil = made.rootfs / "evil"
    evil.write_text(EVIL)
    evil.chmod(0o755)
    made.script("overwrite", OVERWRITE, inside=True)
    return made


def attack(lab: Lab, runtime: Copy, command: str, way: str) -> tuple[str, str]:
    """Evidence, and what the attacker was told. The runtime is not running while it writes."""
    before = digest(runtime.interpreter)
    name = lab.name()
    if command == "run":
        made = evil_bundle(lab, runtime, WAYS[way])
        runtime.run(["run", "-d", "-b", made, name]).ok()
    else:
        made = evil_bundle(lab, runtime, ["/bin/sleep", "1000"])
        runtime.run(["run", "-d", "-b", made, name]).ok()
        runtime.run(["exec", "-d", name, *WAYS[way]]).ok()
    wait_path(made.rootfs / "verdict")
    said = (made.rootfs / "verdict").read_text()
    after = digest(runtime.interpreter)
    overwritten = after != before or "written" in said
    return (f"the interpreter was overwritten: {said}" if overwritten else ""), said


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("command", ["run", "exec"])
def test_the_interpreter_cannot_be_overwritten(
    lab: Lab, creche: Runtime, command: str, way: str
) -> None:
    evidence, said = attack(lab, lab.creche(), command, way)

    assert not evidence
    assert "Read-only file system" in said


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("command", ["run", "exec"])
def test_without_the_seal_it_is_overwritten(lab: Lab, command: str, way: str) -> None:
    evidence, _ = attack(lab, lab.creche("unsealed"), command, way)

    assert evidence


@pytest.mark.parametrize("command", ["run", "exec"])
def test_a_copy_in_memory_serves_where_an_overlay_cannot(lab: Lab, command: str) -> None:
    # overlayfs has no way to name this directory.
    evidence, said = attack(lab, lab.creche(directory="a:b"), command, "script")

    assert not evidence
    assert "Operation not permitted" in said


@pytest.mark.parametrize("command", ["run", "exec"])
def test_without_seals_the_copy_is_overwritten(lab: Lab, command: str) -> None:
    evidence, _ = attack(lab, lab.creche("unsealed-memfd"), command, "script")

    assert evidence
