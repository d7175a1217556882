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
from tests.support.waiting import wait_path

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


# A process that exec adds ------------------------------------------------------------------------

EXECS = 12
MOST = 60
# Without an end, and without a fork in each round. What it finds is in a file, a line each, unless
# it was the program already: that it may look into.
LURK = """
still() {
    read -r word <$process/comm && test "$word" != true && echo $1 $word >>/found
}
echo >/ready
while true; do
    for process in /proc/[0-9]*; do
        test $process = /proc/1 && continue
        for name in environ maps mem; do
            true <$process/$name && still opened-$name
        done
        for name in root cwd fd/0; do
            test -e $process/$name && still followed-$name
        done
    done
done 2>/dev/null
"""


def entered(lab: Lab, runtime: Runtime, tries: int) -> str:
    """The container's first process looks at whoever enters, all the time."""
    name = lab.name()
    made = lab.bundle(args=["/bin/sh", "/lurk"])
    made.script("lurk", LURK, inside=True)
    runtime.run(["run", "-d", "-b", made, name]).ok()
    wait_path(made.rootfs / "ready")
    found = made.rootfs / "found"
    for _ in range(tries):
        runtime.run(["exec", name, "/bin/true"]).ok()
        if found.exists():
            break
    runtime.run(["delete", "--force", name]).ok()
    return found.read_text() if found.exists() else ""


def test_who_enters_cannot_be_looked_into(lab: Lab, creche: Runtime) -> None:
    assert entered(lab, creche, EXECS) == ""
    assert entered(lab, lab.creche("traceable"), MOST)


def test_peers_exec(lab: Lab, peer: Callable[[Callable[[Runtime], str]], str]) -> None:
    peer(lambda runtime: entered(lab, runtime, EXECS))


def test_peers(lab: Lab, peer: Callable[[Callable[[Runtime], str]], str]) -> None:
    peer(lambda runtime: attack(lab, runtime))
