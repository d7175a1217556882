"""CVE-2025-23266: a hook of the host's gets nothing of the container's environment.

`LD_PRELOAD` in an image's environment, handed to a hook that runs with the host's privileges, loads
the image's library into it. A hook gets the environment that the configuration gives it, and none
of the container's or of the runtime's caller.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.attack.lab import Lab
from tests.support.bundle import PATH_VARIABLE
from tests.support.runtimes import Runtime

pytestmark = pytest.mark.root

STAGES = ["prestart", "createRuntime", "createContainer", "poststart", "poststop"]
EVIL = "IMAGE_SAYS=LD_PRELOAD"


def environment(lab: Lab, runtime: Runtime, stage: str) -> str:
    """What a hook finds in its environment, in full."""
    made = lab.bundle({"process": {"env": [PATH_VARIABLE, EVIL]}}, args=["/bin/true"])
    output = made.path / "environment"
    script = f"/bin/busybox cat /proc/self/environ >{output}"
    entry = {"path": "/bin/busybox", "args": ["sh", "-c", script], "env": ["MINE=1"]}
    made.patch({"hooks": {stage: [entry]}})
    runtime.run(["run", "-b", made, lab.name()], env={"PATH": "/bin", "CALLER": "1"}).ok()
    return output.read_text()


def attack(lab: Lab, runtime: Runtime, stage: str) -> str:
    found = environment(lab, runtime, stage)
    return f"a {stage} hook has {found!r}" if EVIL in found or "CALLER" in found else ""


@pytest.mark.parametrize("stage", STAGES)
def test_a_hook_has_its_own_environment_only(lab: Lab, creche: Runtime, stage: str) -> None:
    found = environment(lab, creche, stage)

    assert "MINE=1" in found
    assert EVIL not in found
    assert "CALLER" not in found


def test_a_mutant_hands_on_the_images_environment(lab: Lab) -> None:
    mutant = lab.creche("hooks-with-process-environment")

    assert attack(lab, mutant, "createContainer")


@pytest.mark.parametrize("stage", STAGES)
def test_peers(lab: Lab, peer: Callable[[Callable[[Runtime], str]], str], stage: str) -> None:
    peer(lambda runtime: attack(lab, runtime, stage))
