"""Device rules: their order, version 1's exceptions, version 2's program; all three agree."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.cgroups import compile_devices
from runtime.cgroups.device_bpf import device_program
from runtime.cgroups.devices import DEFAULTS, parse_list, whitelist, writes_v1
from runtime.errors import ConfigError

Request = tuple[str, int, int, str]
DENY_ALL = {"allow": False, "access": "rwm"}


def own_rules(rules: list[dict[str, Any]]) -> list[list[Any]]:
    """Compile without the defaults that follow."""
    return compile_devices(rules)[: -len(DEFAULTS)]


def reference(rules: list[list[Any]], request: Request) -> bool:
    """The specification: in order, later rules win, nothing is allowed before the first."""
    kind, major, minor, wanted = request
    for letter in wanted:
        allowed = False
        for allow, type_, rule_major, rule_minor, access in rules:
            matches = (
                type_ in ("a", kind)
                and rule_major in (-1, major)
                and rule_minor in (-1, minor)
                and letter in access
            )
            if matches:
                allowed = allow
        if not allowed:
            return False
    return True


def run_ebpf(program: bytes, request: Request) -> bool:
    """Interpret the few instructions that device programs use; fails on any other."""
    kind, major, minor, wanted = request
    access = sum({"m": 1, "r": 2, "w": 4}[letter] for letter in set(wanted))
    context = {0: access << 16 | {"b": 1, "c": 2}[kind], 4: major, 8: minor}
    registers = [0] * 11
    code = list(struct.iter_unpack("=BBhi", program))
    position = 0
    while True:
        opcode, both, offset, value = code[position]
        target, source = both & 15, both >> 4
        position += 1
        if opcode == 0x61:
            assert source == 1
            registers[target] = context[offset]
        elif opcode == 0xBF:
            registers[target] = registers[source]
        elif opcode == 0xB4:
            registers[target] = value
        elif opcode == 0x54:
            registers[target] &= value & 0xFFFFFFFF
        elif opcode == 0x74:
            registers[target] >>= value
        elif opcode in (0x55, 0x56):
            position += offset if registers[target] != value & 0xFFFFFFFF else 0
        elif opcode == 0x45:
            position += offset if registers[target] & value else 0
        elif opcode == 0x05:
            position += offset
        elif opcode == 0x95:
            return bool(registers[0])
        else:
            pytest.fail(f"unknown opcode {opcode:#x}")


def test_the_configs_rules_come_before_the_defaults() -> None:
    """In their own order."""
    rules = compile_devices([DENY_ALL, {"allow": True, "type": "c", "major": 10, "access": "r"}])
    assert rules[:2] == [[False, "a", -1, -1, "rwm"], [True, "c", 10, -1, "r"]]
    assert rules[2:] == [[True, *default[1:]] for default in DEFAULTS]


def test_a_narrow_rule_for_all_types_is_two() -> None:
    """Version 1 takes the type `a` for everything, whatever the numbers say."""
    assert own_rules([{"allow": True, "major": 10, "minor": 229}]) == [
        [True, "b", 10, 229, "rwm"],
        [True, "c", 10, 229, "rwm"],
    ]


def test_a_default_device_replaced_by_the_container_is_not_opened() -> None:
    """/dev/null as something else does not open the real one."""
    devices = [{"path": "/dev/null", "type": "c", "major": 1, "minor": 11}]
    assert [True, "c", 1, 3, "rwm"] not in compile_devices([], devices)
    devices[0]["minor"] = 3
    assert [True, "c", 1, 3, "rwm"] in compile_devices([], devices)


@pytest.mark.parametrize(
    ("rule", "key"),
    [
        ({"allow": True, "type": "x"}, "type"),
        ({"allow": True, "access": "rx"}, "access"),
        ({"allow": True, "access": ""}, "access"),
        ({"allow": True, "major": -2}, "major"),
        ({"allow": True, "minor": 1 << 32}, "minor"),
    ],
)
def test_refused(rule: dict[str, Any], key: str) -> None:
    """With index and key."""
    with pytest.raises(ConfigError) as caught:
        compile_devices([DENY_ALL, rule])
    assert caught.value.path == f"linux.resources.devices[1].{key}"


def test_v1_starts_by_denying_all() -> None:
    """Then one line for each device, kinds of access joined."""
    rules = own_rules(
        [
            {"allow": True, "type": "c", "major": 1, "minor": 3, "access": "r"},
            {"allow": True, "type": "c", "major": 1, "minor": 3, "access": "w"},
            {"allow": True, "type": "b", "access": "m"},
        ]
    )
    assert writes_v1(rules) == [
        ("devices.deny", "a"),
        ("devices.allow", "c 1:3 rw"),
        ("devices.allow", "b *:* m"),
    ]


def test_v1_privileged() -> None:
    """Allow all, but for what is denied later."""
    rules = own_rules([{"allow": True}, {"allow": False, "type": "b", "major": 8}])
    assert writes_v1(rules) == [("devices.allow", "a"), ("devices.deny", "b 8:* rwm")]


def test_v1_cannot_take_a_part_back() -> None:
    """An error beats a rule that silently does nothing."""
    rules = own_rules(
        [
            {"allow": True, "type": "c", "major": 1},
            {"allow": False, "type": "c", "major": 1, "minor": 3},
        ]
    )
    with pytest.raises(ConfigError, match="cgroup v1 cannot express 'c 1:3 rwm'"):
        writes_v1(rules)


def test_v1_update_neither_opens_nor_closes_what_stays() -> None:
    """Only differences are written, what is new first."""
    current = parse_list("c *:* m\nc 1:3 rwm\nc 1:5 rwm\n")
    rules = own_rules(
        [
            {"allow": True, "type": "c", "access": "m"},
            {"allow": True, "type": "c", "major": 1, "minor": 3, "access": "rm"},
            {"allow": True, "type": "c", "major": 1, "minor": 9},
        ]
    )
    assert writes_v1(rules, current) == [
        ("devices.allow", "c 1:9 rwm"),
        ("devices.deny", "c 1:3 w"),
        ("devices.deny", "c 1:5 rwm"),
    ]


def test_nothing_follows_a_rule_for_everything() -> None:
    """The kernel's verifier refuses a program with instructions that are never reached."""
    assert len(device_program([[True, "a", -1, -1, "rwm"]])) == 8 * 8


_numbers = st.sampled_from([0, 1, 3, 8, 259, 0xFFFFFFFF])
_access = st.sets(st.sampled_from("rwm"), min_size=1).map(lambda letters: "".join(sorted(letters)))
_kind = st.sampled_from("bc")
_rule = st.builds(
    lambda allow, kind, major, minor, access: (
        [allow, "a", -1, -1, "rwm"] if kind == "a" else [allow, kind, major, minor, access]
    ),
    st.booleans(),
    st.sampled_from("abbcc"),
    st.one_of(st.just(-1), _numbers),
    st.one_of(st.just(-1), _numbers),
    _access,
)
_request = st.tuples(_kind, _numbers, _numbers, _access)


@settings(deadline=None)
@given(st.lists(_rule, max_size=8), st.lists(_request, min_size=1, max_size=12))
def test_program_follows_the_rules_to_the_letter(
    rules: list[list[Any]], requests: list[Request]
) -> None:
    """For any rules and any device."""
    program = device_program(rules)
    for request in requests:
        assert run_ebpf(program, request) == reference(rules, request)


@settings(deadline=None)
@given(st.lists(_rule, max_size=8), st.lists(_request, min_size=1, max_size=12))
def test_v1_means_the_same_where_it_can_say_it(
    rules: list[list[Any]], requests: list[Request]
) -> None:
    """Judged by each kind of access on its own."""
    try:
        state = whitelist(rules)
    except ConfigError:
        return
    for kind, major, minor, wanted in requests:
        for letter in wanted:
            excepted = any(
                key[0] == kind
                and key[1] in (-1, major)
                and key[2] in (-1, minor)
                and letter in held
                for key, held in state.exceptions.items()
            )
            expected = reference(rules, (kind, major, minor, letter))
            assert (excepted != state.allow) == expected
