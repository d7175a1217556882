"""A control group that belongs to the container's root, where version 2 is alone."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable

import pytest

from runtime.cgroups import discover
from tests.support.bundle import MINIMAL, Bundle
from tests.support.inside import answers, cgroups_named, namespace, questions
from tests.support.runtimes import PATH_VARIABLE, Runtime
from tests.support.waiting import DEADLINE

pytestmark = pytest.mark.root

CGROUP = "/sys/fs/cgroup"
# Beside version 1 the kernel lets anybody mount the tree of version 2 once more; its controllers
# are version 1's then, but who may move what is the same.
PURE_VIEW = f'mount -t cgroup2 cgroup2 {CGROUP} && exec "$@"'
MAPPING = [{"containerID": 0, "hostID": 100000, "size": 65536}]


def run_alone(runtime: Runtime, *words: str) -> str:
    """Call the runtime where it sees version 2 alone; what it printed."""
    command = runtime.argv(words)
    if discover().mode != "v2":
        view = ["unshare", "--mount", "--propagation", "private", "sh", "-c", PURE_VIEW, "sh"]
        command = [*view, *command]
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env={"PATH": PATH_VARIABLE},
        timeout=DEADLINE,
    )
    assert done.returncode == 0, (done.stdout, done.stderr)
    return done.stdout


def delegated(bundle: Callable[..., Bundle], *options: str, **commands: str) -> Bundle:
    """A container with a user and a cgroup namespace and its control group mounted."""
    made = bundle(base=MINIMAL, args=["/bin/sh", "-c", questions(commands)])
    made.config["mounts"] += [
        {"destination": "/sys", "type": "tmpfs", "source": "tmpfs"},
        {"destination": CGROUP, "type": "cgroup", "source": "cgroup", "options": list(options)},
    ]
    linux = made.config["linux"]
    linux["namespaces"] += [namespace("user"), namespace("cgroup")]
    linux |= {"uidMappings": MAPPING, "gidMappings": MAPPING}
    linux["resources"] = {"unified": {"cgroup.max.descendants": "7"}}
    for top, _, files in os.walk(made.rootfs):
        for name in (".", *files):
            os.chown(os.path.join(top, name), 100000, 100000, follow_symlinks=False)
    return made.write()


@pytest.mark.parametrize("option", ["ro", "rw"])
def test_without_a_cgroup_namespace_it_is_the_hosts_mount(
    creche: Runtime, bundle: Callable[..., Bundle], container_id: str, option: str
) -> None:
    """A new one would set the options of the whole hierarchy, for the host as well."""
    made = bundle(base=MINIMAL, sh=f"grep ' {CGROUP} ' /proc/self/mountinfo")
    made.config["mounts"] += [
        {"destination": "/sys", "type": "tmpfs", "source": "tmpfs"},
        {
            "destination": CGROUP,
            "type": "cgroup",
            "source": "new",
            "options": ["nosuid", "noexec", "noatime", option],
        },
    ]
    said = run_alone(creche, "run", "-b", str(made.write()), container_id)
    fields = said.split()

    assert set(fields[5].split(",")) == {option, "nosuid", "noexec", "noatime"}
    assert fields[fields.index("-") + 1] == "cgroup2"
    assert fields[fields.index("-") + 2] != "new"  # the host's name for it


def test_its_root_manages_what_is_below(
    creche: Runtime, bundle: Callable[..., Bundle], container_id: str
) -> None:
    """It makes groups and moves its processes into them; its own limits it cannot change."""
    made = delegated(
        bundle,
        before="cat /proc/self/cgroup",
        owners=f"cd {CGROUP}; stat -c '%u %n' . cgroup.procs cgroup.subtree_control cgroup.threads "
        "cgroup.max.descendants",
        made=f"mkdir {CGROUP}/leaf {CGROUP}/other && echo $$ > {CGROUP}/leaf/cgroup.procs",
        moved="cat /proc/self/cgroup",
        emptied=f"cat {CGROUP}/cgroup.procs",
        inside=f"grep -c '^1$' {CGROUP}/leaf/cgroup.procs",
        handed_on=f"cd {CGROUP}; sed 's/^/+/; s/ / +/g' cgroup.controllers "
        "> cgroup.subtree_control && cmp cgroup.controllers cgroup.subtree_control && echo same",
        limit=f"echo max > {CGROUP}/cgroup.max.descendants || cat {CGROUP}/cgroup.max.descendants",
        removed=f"rmdir {CGROUP}/other && ls -d {CGROUP}/*/",
    )
    found = answers(run_alone(creche, "run", "-b", str(made), container_id))

    assert "0::/" in found["before"].splitlines()
    rows = [line.split() for line in found["owners"].splitlines()]
    owners = {name: owner for owner, name in rows}
    nobody = "65534"  # the machine's root, as it is seen in there
    assert owners.pop("cgroup.max.descendants") == nobody
    assert owners == dict.fromkeys((".", "cgroup.procs", "cgroup.subtree_control",
                                    "cgroup.threads"), "0")  # fmt: skip
    assert found["made"] == ""
    assert "0::/leaf" in found["moved"].splitlines()
    assert (found["emptied"], found["inside"]) == ("", "1")
    assert found["handed_on"] == "same"
    assert "ermission denied" in found["limit"]
    assert found["limit"].endswith("\n7")
    assert found["removed"] == f"{CGROUP}/leaf/"
    assert cgroups_named(container_id) == []


def test_what_can_only_be_read_is_not_handed_over(
    creche: Runtime, bundle: Callable[..., Bundle], container_id: str
) -> None:
    made = delegated(
        bundle, "ro", owner=f"stat -c %u {CGROUP}", made=f"mkdir {CGROUP}/leaf || echo refused"
    )
    found = answers(run_alone(creche, "run", "-b", str(made), container_id))
    assert found["owner"] == "65534"
    assert found["made"].endswith("refused")
    assert cgroups_named(container_id) == []
