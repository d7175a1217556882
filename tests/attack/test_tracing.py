"""CVE-2016-9962: processes of a container reach into the runtime's own that shares their PIDs.

Init waits for `start` inside the container's namespaces and is still the runtime. In a PID
namespace that another container runs in, that one sees it, as root with the same capabilities; the
kernel must not let it look at the descriptors, the memory or the executable.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.attack.lab import Lab
from tests.support.runtimes import Runtime

pytestmark = pytest.mark.root

# All processes but this shell and the container's init. Root may list the numbers of descriptors
# in any case, but not follow them.
LOOK = """
for process in /proc/[0-9]*; do
    case $process in /proc/1 | /proc/$$) continue ;; esac
    for name in environ maps mem exe; do
        if true <$process/$name; then echo opened $process/$name; fi
    done 2>/dev/null
    for fd in $process/fd/*; do readlink $fd >/dev/null && echo followed $fd; done 2>/dev/null
    ls -d $process/root/. $process/cwd/. 2>/dev/null
done
true
"""


def attack(lab: Lab, runtime: Runtime) -> str:
    attacker, victim = lab.name(), lab.name()
    made = lab.bundle(args=["/bin/sleep", "1000"])
    made.script("look", LOOK, inside=True)
    runtime.run(["run", "-d", "-b", made, attacker]).ok()
    path = f"/proc/{runtime.pid(attacker)}/ns/pid"
    other = lab.bundle(args=["/bin/true"])

    def join(config: dict[str, object]) -> None:
        linux = other.config["linux"]
        linux["namespaces"] = [
            {"type": "pid", "path": path} if each["type"] == "pid" else each
            for each in linux["namespaces"]
        ]

    runtime.run(["create", "-b", other.patch(join), victim]).ok()
    count = runtime.run(["exec", attacker, "/bin/sh", "-c", "ls -d /proc/[0-9]*; true"]).ok()
    assert len(count.stdout.split()) >= 3  # init, the victim's init, the shell
    return " ".join(runtime.run(["exec", attacker, "/bin/sh", "/look"]).ok().stdout.split())


def test_init_cannot_be_looked_into(lab: Lab, creche: Runtime) -> None:
    assert attack(lab, creche) == ""


def test_a_mutant_can_be_looked_into(lab: Lab) -> None:
    evidence = attack(lab, lab.creche("traceable"))

    assert "/mem" in evidence
    assert "/fd/0" in evidence


def test_runc(lab: Lab, peer: Callable[[Callable[[Runtime], str]], str]) -> None:
    peer(lambda runtime: attack(lab, runtime))
