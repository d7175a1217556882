"""creche features: what this runtime knows, for engines (runtime-spec features.md).

Built from the tables that the executor uses. Whether the host can do it is not said here.
"""

from __future__ import annotations

from runtime.cli.call import emit
from runtime.cli.options import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.cli.call import Call

COMMAND = Command("features", "show what this runtime supports, as JSON", args="", arity=(0, 0))


def run(call: Call) -> int:
    """Print the features."""
    from runtime.jsonio import dumps

    emit(dumps(features(), indent="    ") + "\n")
    return 0


def features() -> dict[str, object]:
    """The document of features.md and features-linux.md."""
    from runtime import SPEC_VERSION, VERSION
    from runtime.linux.namespaces import FLAGS
    from runtime.plan import numa
    from runtime.plan.mounts import known_options
    from runtime.spec import names

    return {
        "ociVersionMin": "1.0.0",
        "ociVersionMax": SPEC_VERSION,
        "hooks": list(names.HOOK_STAGES),
        "mountOptions": known_options(),
        "linux": {
            "namespaces": sorted(FLAGS),
            "capabilities": list(names.CAPABILITIES),
            "cgroup": {
                "v1": True,
                "v2": True,
                "systemd": True,
                "systemdUser": True,
                "rdma": True,
            },
            "seccomp": seccomp(),
            "apparmor": {"enabled": True},
            "selinux": {"enabled": True},
            "intelRdt": {"enabled": True, "schemata": True, "monitoring": True},
            "memoryPolicy": {"modes": list(numa.MODES), "flags": list(numa.FLAGS)},
            "mountExtensions": {"idmap": {"enabled": True}},
            "netDevices": {"enabled": True},
        },
        "annotations": {"org.creche.version": VERSION},
        # An engine must not let images set these: the bundle's path is trusted by hooks.
        "potentiallyUnsafeConfigAnnotations": [
            "bundle",
            "org.systemd.property.",
            "org.criu.config",
            "org.creche.network",
        ],
    }


def seccomp() -> dict[str, object]:
    """What filters may say; disabled where libseccomp is missing."""
    from runtime.commands.version import libseccomp_version
    from runtime.spec import names

    if not libseccomp_version():
        return {"enabled": False}
    return {
        "enabled": True,
        "actions": list(names.SECCOMP_ACTIONS),
        "operators": list(names.SECCOMP_OPERATORS),
        "archs": list(names.SECCOMP_ARCHITECTURES),
        "knownFlags": list(names.SECCOMP_FLAGS),
        "supportedFlags": list(names.SECCOMP_FLAGS),
    }
