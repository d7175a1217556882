"""Mount entries compiled to operations: which bits, which kind, which text when refused."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import runtime.linux.mounts as m
from runtime.errors import ConfigError
from runtime.plan.mounts import (
    ATIME,
    ATTRIBUTES,
    NEUTRAL,
    PROC_FILES,
    PROPAGATION,
    RECURSIVE,
    SUPERBLOCK,
    compile_mount,
    known_options,
    normalise,
)

RELATIME, NOATIME = m.MOUNT_ATTR_RELATIME, m.MOUNT_ATTR_NOATIME
STRICTATIME = m.MOUNT_ATTR_STRICTATIME


def compiled(
    *options: str,
    warnings: list[str] | None = None,
    linux: dict[str, Any] | None = None,
    **mount: Any,
) -> Any:
    """One entry: by default a tmpfs on /x of a bundle in /b."""
    entry = {"destination": "/x", "type": "tmpfs", "source": "tmpfs", "options": list(options)}
    entry.update(mount)
    heard: list[str] = [] if warnings is None else warnings
    op = compile_mount(7, entry, linux or {}, "/b", heard.append)  # type: ignore[arg-type]
    assert warnings is not None or not heard, heard
    return op


def bind(*options: str, warnings: list[str] | None = None, **mount: Any) -> Any:
    entry = {"type": "bind", "source": "/src", **mount}
    return compiled("bind", *options, warnings=warnings, **entry)


def refused(*options: str, **mount: Any) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        compiled(*options, **mount)
    return caught.value


# Attributes ---------------------------------------------------------------------------------------

PLAIN = [
    ("ro", m.MOUNT_ATTR_RDONLY, "rw"),
    ("nosuid", m.MOUNT_ATTR_NOSUID, "suid"),
    ("nodev", m.MOUNT_ATTR_NODEV, "dev"),
    ("noexec", m.MOUNT_ATTR_NOEXEC, "exec"),
    ("nodiratime", m.MOUNT_ATTR_NODIRATIME, "diratime"),
    ("nosymfollow", m.MOUNT_ATTR_NOSYMFOLLOW, "symfollow"),
]


@pytest.mark.parametrize(("on", "bit", "off"), PLAIN)
def test_the_last_of_two_opposites_wins(on: str, bit: int, off: str) -> None:
    """What is set is not cleared as well: mount_setattr(2) refuses that."""
    assert (bind(on)["set"], bind(on)["clear"]) == (bit, 0)
    assert (bind(off)["set"], bind(off)["clear"]) == (0, bit)
    assert (bind(off, on)["set"], bind(off, on)["clear"]) == (bit, 0)
    assert (bind(on, off)["set"], bind(on, off)["clear"]) == (0, bit)
    assert (bind(on, off, on)["set"], bind(on, off, on)["clear"]) == (bit, 0)


@pytest.mark.parametrize(("on", "bit", "off"), PLAIN)
def test_recursive_attributes_are_kept_apart(on: str, bit: int, off: str) -> None:
    op = bind(f"r{on}", off)

    assert (op["rset"], op["rclear"]) == (bit, 0)
    assert (op["set"], op["clear"]) == (0, bit)
    assert bind(f"r{on}", f"r{off}")["rclear"] == bit


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("noatime", NOATIME),
        ("relatime", RELATIME),
        ("strictatime", STRICTATIME),
    ],
)
def test_access_time_is_one_field(option: str, value: int) -> None:
    """Setting a mode clears the whole field, whatever was there (mount_setattr(2))."""
    for before in ("noatime", "relatime", "strictatime"):
        op = bind(before, option)
        assert op["set"] & ATIME == value
        assert op["clear"] & ATIME == ATIME
        rop = bind(f"r{before}", f"r{option}")
        assert rop["rset"] & ATIME == value
        assert rop["rclear"] & ATIME == ATIME


@pytest.mark.parametrize(
    ("options", "value"),
    [
        # mount(8): atime, nostrictatime and norelatime take back what they name, nothing else.
        (("noatime", "atime"), RELATIME),
        (("strictatime", "nostrictatime"), RELATIME),
        (("relatime", "norelatime"), RELATIME),
        (("strictatime", "norelatime"), STRICTATIME),
        (("noatime", "norelatime"), NOATIME),
        (("noatime", "nostrictatime"), NOATIME),
        (("strictatime", "atime"), STRICTATIME),
    ],
)
def test_taking_back_one_mode_leaves_another(options: tuple[str, str], value: int) -> None:
    assert bind(*options)["set"] & ATIME == value


@settings(deadline=None)
@given(st.lists(st.sampled_from(sorted({*ATTRIBUTES, *RECURSIVE}))))
def test_no_list_of_options_makes_bits_that_the_kernel_refuses(options: list[str]) -> None:
    """attr_set and attr_clr overlap in the access time's field only, and there completely."""
    op = bind(*options)
    for set_, clear in ((op["set"], op["clear"]), (op["rset"], op["rclear"])):
        assert not set_ & clear & ~ATIME
        assert clear & ATIME in (0, ATIME)
        assert not set_ & ATIME or clear & ATIME == ATIME


def test_every_option_of_the_specification_is_known() -> None:
    """config.md#linux-mount-options; the ones that are refused so far are told apart."""
    must = (
        "async atime bind defaults dev diratime dirsync exec iversion lazytime loud mand noatime "
        "nodev nodiratime noexec noiversion nolazytime nomand norelatime nostrictatime nosuid "
        "nosymfollow private ratime rbind rdev rdiratime relatime remount rexec rnoatime rnodev "
        "rnodiratime rnoexec rnorelatime rnostrictatime rnosuid rnosymfollow ro rprivate "
        "rrelatime rro rrw rshared rslave rstrictatime rsuid rsymfollow runbindable rw shared "
        "silent slave strictatime suid symfollow sync unbindable"
    )
    assert set(must.split()) <= set(known_options())


@pytest.mark.parametrize("option", NEUTRAL)
def test_words_that_change_nothing(option: str) -> None:
    assert compiled(option) == compiled()


@pytest.mark.parametrize("option", SUPERBLOCK)
def test_flags_of_the_superblock_go_to_the_filesystem(option: str) -> None:
    assert compiled(option)["options"] == [(option, None)]


def test_data_goes_to_the_filesystem_in_order() -> None:
    op = compiled("mode=755", "nosuid", "size=64k,nr_inodes=10", "uid=", "noswap")

    assert op["options"] == [
        ("mode", "755"), ("size", "64k"), ("nr_inodes", "10"), ("uid", ""), ("noswap", None),
    ]  # fmt: skip


def test_propagation_is_kept_in_order() -> None:
    op = bind("rshared", "slave", "runbindable")

    assert op["propagation"] == [
        (m.MS_SHARED, True), (m.MS_SLAVE, False), (m.MS_UNBINDABLE, True),
    ]  # fmt: skip
    assert len(PROPAGATION) == 8


# Kinds --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "kind", "recursive"),
    [
        (["bind"], "none", False),
        (["rbind"], "none", True),
        (["rbind"], "ext4", True),  # the type of a bind mount is a dummy
        ([], "bind", False),
        ([], "rbind", True),
        (["rbind"], "bind", True),
        (["bind"], "rbind", False),  # an option says it more clearly than the dummy
    ],
)
def test_what_makes_a_bind_mount(options: list[str], kind: str, recursive: bool) -> None:
    op = compiled(*options, type=kind, source="/src")

    assert (op["kind"], op["recursive"]) == ("bind", recursive)


@pytest.mark.parametrize(
    ("source", "expected"),
    [("/a/b", "/a/b"), ("data", "/b/data"), ("../data", "/b/../data"), ("./", "/b/./")],
)
def test_a_bind_source_is_relative_to_the_bundle(source: str, expected: str) -> None:
    """Kept as it is: `..` behind a symbolic link means what it means to the kernel."""
    assert bind(source=source)["source"] == expected


@pytest.mark.parametrize("source", ["", None])
def test_a_bind_mount_needs_a_source(source: str | None) -> None:
    assert str(refused("bind", type="none", source=source)) == (
        "mounts[7].source: a bind mount needs a source"
    )


def test_data_of_a_bind_mount_is_a_warning() -> None:
    warnings: list[str] = []
    op = bind("mode=755,size=1k", warnings=warnings)

    assert op["options"] == []
    assert warnings == [
        "mounts[7].options: mode=755,size=1k has no meaning for a bind mount; ignored"
    ]


def test_a_source_that_is_not_followed() -> None:
    assert bind()["follow_source"] is True
    assert bind("src-nofollow")["follow_source"] is False


def test_remount_needs_neither_type_nor_source() -> None:
    op = compile_mount(0, {"destination": "/x", "options": ["remount", "ro"]}, {}, "/b", print)

    assert (op["kind"], op["set"]) == ("remount", m.MOUNT_ATTR_RDONLY)


@pytest.mark.parametrize("kind", ["cgroup", "cgroup2"])
def test_cgroup_mounts_are_a_kind_of_their_own(kind: str) -> None:
    assert compiled(type=kind, source="cgroup")["kind"] == "cgroup"


def test_a_filesystem_needs_a_type() -> None:
    with pytest.raises(ConfigError) as caught:
        compile_mount(2, {"destination": "/x"}, {}, "/b", print)

    assert str(caught.value) == "mounts[2].type: expected a filesystem type, found none"


def test_read_only_waits_where_mount_points_are_still_to_be_made() -> None:
    op = compiled("ro", "nosuid")

    assert (op["late_readonly"], op["set"]) == (True, m.MOUNT_ATTR_NOSUID)
    assert compiled("ro", "rw")["late_readonly"] is False
    proc = compiled("ro", type="sysfs", destination="/sys")
    assert (proc["late_readonly"], proc["set"]) == (False, m.MOUNT_ATTR_RDONLY)


MAP = [{"containerID": 0, "hostID": 1000, "size": 10}]
OTHER_MAP = [{"containerID": 5, "hostID": 2000, "size": 1}]


def test_a_mount_has_the_mappings_it_names() -> None:
    op = bind(uidMappings=MAP, gidMappings=OTHER_MAP)

    assert op["idmap"] == {"uid": [(0, 1000, 10)], "gid": [(5, 2000, 1)], "recursive": False}
    assert bind("ridmap", uidMappings=MAP, gidMappings=MAP)["idmap"]["recursive"] is True
    assert bind()["idmap"] is None


@pytest.mark.parametrize(("option", "recursive"), [("idmap", False), ("ridmap", True)])
def test_without_mappings_of_its_own_it_has_the_containers(option: str, recursive: bool) -> None:
    op = bind(option, linux={"uidMappings": MAP, "gidMappings": OTHER_MAP})

    assert op["idmap"] == {"uid": [(0, 1000, 10)], "gid": [(5, 2000, 1)], "recursive": recursive}


def test_only_a_bind_mount_can_be_mapped() -> None:
    assert str(refused("idmap", uidMappings=MAP, gidMappings=MAP)) == (
        "mounts[7]: idmapped mounts are for bind mounts only"
    )


def test_a_tmpfs_can_take_over_what_it_covers_and_nothing_else_can() -> None:
    assert compiled("tmpcopyup", "size=1k")["copy_up"] is True
    assert compiled("tmpcopyup", "size=1k")["options"] == [("size", "1k")]
    assert str(refused("tmpcopyup", type="ramfs")) == (
        "mounts[7].options: tmpcopyup is for a tmpfs only"
    )


# Destinations -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/", "/"),
        ("", "/"),
        ("/a//b/./c/", "/a/b/c"),
        ("/a/../b", "/b"),
        ("/../../etc", "/etc"),
        ("a/b", "/a/b"),
        ("/...", "/..."),
    ],
)
def test_normalise(path: str, expected: str) -> None:
    assert normalise(path) == expected


@settings(deadline=None)
@given(st.text(alphabet="/.ab"))
def test_normalise_never_climbs_and_is_stable(path: str) -> None:
    result = normalise(path)

    assert result.startswith("/")
    assert not {"", ".", ".."} & set(result.split("/")[1:]) or result == "/"
    assert normalise(result) == result


def test_a_relative_destination_is_taken_from_the_root_with_a_warning() -> None:
    warnings: list[str] = []
    op = compiled(destination="data/x", warnings=warnings)

    assert op["destination"] == "/data/x"
    assert warnings == ["mounts[7].destination: 'data/x' is relative; taken as /data/x"]


@pytest.mark.parametrize("destination", ["/", "//", "/a/..", "."])
def test_the_root_is_not_a_destination(destination: str) -> None:
    with pytest.raises(ConfigError, match="cannot mount on the container's root"):
        compiled(destination=destination, warnings=[])


@pytest.mark.parametrize("destination", ["/proc/sys", "/proc/self/attr", "/x/../proc/1", "/proc/a"])
@pytest.mark.parametrize("options", [[], ["bind"], ["remount"]])
def test_nothing_covers_parts_of_proc(destination: str, options: list[str]) -> None:
    """CVE-2019-16884, CVE-2019-19921."""
    error = refused(*options, destination=destination, source="/src")

    assert str(error) == (
        f'mounts[7].destination: "{normalise(destination)}" cannot be mounted because it is '
        "inside /proc"
    )


@pytest.mark.parametrize("destination", PROC_FILES)
def test_files_that_lxcfs_provides_may_cover_those_of_proc(destination: str) -> None:
    assert bind(destination=destination)["destination"] == destination


@pytest.mark.parametrize(
    ("kind", "options", "good"),
    [
        ("proc", [], True),
        ("none", ["bind"], True),
        ("none", ["rbind"], True),
        ("proc", ["remount"], True),
        ("tmpfs", [], False),
        ("sysfs", [], False),
        ("cgroup", [], False),
    ],
)
def test_what_may_be_proc_itself(kind: str, options: list[str], good: bool) -> None:
    for destination in ("/proc", "/proc/", "/./proc"):
        if good:
            op = compiled(*options, type=kind, source="/proc", destination=destination)
            assert op["destination"] == "/proc"
        else:
            error = refused(*options, type=kind, source="x", destination=destination)
            assert error.message == f'"/proc" cannot be mounted because it is a {kind}'


def test_names_are_disjoint() -> None:
    tables = [set(ATTRIBUTES), set(RECURSIVE), set(PROPAGATION), set(SUPERBLOCK), set(NEUTRAL)]
    for one, other in itertools.combinations(tables, 2):
        assert not one & other
