"""The config made of a [container] table: the safe default, and what the table changes in it."""

from __future__ import annotations

from typing import Any

from runtime import jsonio
from runtime.spec import parse
from supervisor.workload import rootfs
from supervisor.workload.model import Settings
from supervisor.workload.oci import CAPABILITIES, ended_whole, make_config
from supervisor.workload.sections.container import Container, Mount
from supervisor.workload.sections.hooks import Hook, Hooks


def make(container: Container, settings: Settings | None = None) -> Any:
    """The config, proved to be one the runtime takes."""
    settings = settings or Settings()
    config = make_config("w", "/dir", settings, container, "/root", rootfs.mounts())
    warnings: list[str] = []
    parse(jsonio.dumps(config).encode(), warnings.append)

    assert warnings == []
    return config


def test_the_default_is_safe() -> None:
    """Isolated from the host in every respect, and without privileges to gain."""
    config = make(Container(("true",)))

    kinds = {namespace["type"] for namespace in config["linux"]["namespaces"]}
    assert kinds == {"pid", "ipc", "uts", "mount", "cgroup", "network"}
    assert config["process"]["noNewPrivileges"]
    assert config["root"]["readonly"]
    assert not config["process"]["terminal"]
    assert set(config["process"]["capabilities"]) == {"bounding", "effective", "permitted"}
    assert "CAP_SYS_ADMIN" not in CAPABILITIES
    assert config["linux"]["resources"]["devices"] == [{"allow": False, "access": "rwm"}]
    assert "/proc/kcore" in config["linux"]["maskedPaths"]
    assert "/proc/sys" in config["linux"]["readonlyPaths"]
    assert config["hostname"] == "w"
    assert config["process"]["env"][0].startswith("PATH=")


def test_what_the_table_changes() -> None:
    """Limits, network, user, environment, mounts."""
    container = Container(
        ("a", "b"),
        env=(("PATH", "/x"), ("B", "c")),
        user=(1, 2),
        network="host",
        read_only=False,
        capabilities=(),
        memory=1 << 26,
        cpus=0.5,
        pids=9,
        hostname="h",
        mounts=(Mount("/m", "/s", "bind", ("bind", "ro")),),
    )
    config = make(container)

    assert {"type": "network"} not in config["linux"]["namespaces"]
    assert config["process"]["user"] == {"uid": 1, "gid": 2}
    assert config["process"]["env"] == ["PATH=/x", "B=c"]
    assert config["process"]["capabilities"]["bounding"] == []
    resources = config["linux"]["resources"]
    assert resources["memory"] == {"limit": 1 << 26}
    assert resources["cpu"] == {"quota": 50000, "period": 100000}
    assert resources["pids"] == {"limit": 9}
    assert config["mounts"][-1]["destination"] == "/m"


def test_hooks() -> None:
    """Relative ones lie in the directory; deadlines are whole seconds, rounded up."""
    settings = Settings(
        hooks=Hooks(
            2.5,
            (("prestart", (Hook("/a", None, (), None), Hook("b", ("x",), (("K", "v"),), 0.1))),),
        ),
    )
    config = make(Container(("true",)), settings)

    assert config["hooks"]["prestart"] == [
        {"path": "/a", "args": ["/a"], "timeout": 3},
        {"path": "/dir/b", "args": ["x"], "env": ["K=v"], "timeout": 1},
    ]


def test_out_of_memory_may_end_all_of_it() -> None:
    """By the kernel; other limits stay as they are."""
    linux = make(Container(("true",), memory=1 << 20, oom_group=True))["linux"]

    ended: Any = ended_whole(linux)
    resources = ended["resources"]

    assert resources["unified"] == {"memory.oom.group": "1"}
    assert resources["memory"] == linux["resources"]["memory"]
    assert "unified" not in linux["resources"]
