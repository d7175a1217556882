"""Where a container's cgroups are put."""

from __future__ import annotations

import pytest

from runtime.cgroups import Hierarchy, Layout, resolve_paths
from runtime.errors import ConfigError


def layout(**own: str) -> Layout:
    rows = {name: Hierarchy(name, f"/cg/{name}", "/", path) for name, path in own.items()}
    return Layout(rows, [])


HYBRID = layout(memory="/batch", pids="/", unified="/")


def test_without_a_path_it_is_the_id_below_our_own_cgroup_of_each_hierarchy() -> None:
    """They need not agree."""
    assert resolve_paths(None, "box", HYBRID) == {
        "memory": "/cg/memory/batch/box",
        "pids": "/cg/pids/box",
        "unified": "/cg/unified/box",
    }
    assert resolve_paths("", "box", HYBRID) == resolve_paths(None, "box", HYBRID)


def test_absolute_path_starts_at_each_mount() -> None:
    """Wherever we are ourselves."""
    assert resolve_paths("/a//b/./c", "box", HYBRID)["memory"] == "/cg/memory/a/b/c"


def test_relative_path_starts_at_our_own_cgroup() -> None:
    """Like the id."""
    assert resolve_paths("a/b", "box", HYBRID)["memory"] == "/cg/memory/batch/a/b"


def test_on_v2_the_container_goes_beside_us() -> None:
    """Our own cgroup holds processes, so it could not give controllers to a child."""
    pure = layout(unified="/user.slice/session-1.scope")
    assert resolve_paths(None, "box", pure) == {"unified": "/cg/unified/user.slice/box"}
    assert resolve_paths(None, "box", layout(unified="/")) == {"unified": "/cg/unified/box"}


def test_a_mount_of_a_part_limits_where_absolute_paths_lead() -> None:
    """There is nothing above its top."""
    rows = {"memory": Hierarchy("memory", "/cg", "/docker/abc", "/docker/abc")}
    found = resolve_paths("/x", "box", Layout(rows, []))
    assert found == {"memory": "/cg/x"}


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/../../x", "contains '..'"),
        ("a/../../b", "contains '..'"),
        ("..", "contains '..'"),
        ("a\nb", "newline"),
        ("a\0b", "NUL"),
        ("/", "root cgroup"),
        ("//.", "root cgroup"),
        ("x" * 256, "longer than 255"),
    ],
)
def test_refused(path: str, words: str) -> None:
    """Each with the key and what is wrong with it."""
    with pytest.raises(ConfigError, match=r"^linux\.cgroupsPath: ") as caught:
        resolve_paths(path, "box", HYBRID)
    assert words in caught.value.message
