"""Tables of creched.toml about looking after workloads: [supervisor], [events], [groups.NAME]."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from supervisor.groups import Group, Strategy
from supervisor.store.journal import FILES, SIZE
from supervisor.workload import kinds
from supervisor.workload.schema import Field, Section, Values, into

CNI_PATH = ("/usr/lib/cni", "/opt/cni/bin")
"""Debian's, and that of the plugins' own releases."""


@dataclass(frozen=True, slots=True)
class Supervisor:
    """The [supervisor] table."""

    reboot_command: tuple[str, ...] = ()
    cni_path: tuple[str, ...] = CNI_PATH


@dataclass(frozen=True, slots=True)
class Events:
    """The [events] table: files of the journal of events, each of `size` bytes or a little more."""

    size: int = SIZE
    files: int = FILES


def _absolute_first(values: Values) -> Iterable[tuple[str, str]]:
    command = values["reboot-command"]
    if command and not command[0].startswith("/"):
        yield "reboot-command", f'expected an absolute path first, found "{command[0]}"'


SUPERVISOR = Section(
    "supervisor",
    "creched itself.",
    (
        Field(
            "reboot-command",
            kinds.list_of(kinds.NONEMPTY),
            (),
            "[]",
            'What reboots the machine when a workload with `on-limit = "reboot"` asks for it: an '
            'absolute path and arguments, such as `["/usr/bin/systemctl", "reboot"]`. Without it '
            "the request is an event and nothing more.",
        ),
        Field(
            "cni-path",
            kinds.list_of(kinds.ABSOLUTE),
            CNI_PATH,
            '["/usr/lib/cni", "/opt/cni/bin"]',
            'Directories of CNI plugins (`[network] mode = "cni"`), searched in this order.',
        ),
    ),
    make=into(Supervisor),
    rules=_absolute_first,
)


SMALLEST, LARGEST = 1 << 16, 1 << 26
"""Bytes in a file of the journal. By the latest events the next creched knows which ends have been
told, and each file is read as a whole then."""


def _bounded(values: Values) -> Iterable[tuple[str, str]]:
    if not SMALLEST <= values["size"] <= LARGEST:
        yield "size", f'expected a size from "64K" to "64M", found {values["size"]}'


EVENTS = Section(
    "events",
    "How many events are kept, to be read again (`crechectl events`, `explain`). They are in "
    "ROOT/.creched/journal, which with the default ROOT is in memory, and hold to the next boot.",
    (
        Field(
            "size",
            kinds.SIZE,
            SIZE,
            '"1M"',
            "So large is each of the files, from 64K to 64M; an event takes about 400 bytes.",
        ),
        Field(
            "files",
            kinds.integer(2, 1000),
            FILES,
            str(FILES),
            "So many there are at most; the oldest makes room for the next. Fewer than before "
            "hold when the next one begins.",
        ),
    ),
    make=into(Events),
    rules=_bounded,
)


def _make_group(values: Values) -> Group:
    return Group(Strategy(values["strategy"]), values["limit"], values["window"])


GROUP = Section(
    "groups.NAME",
    "A group of workloads (`[workload] group`). A group that is named nowhere here is one-for-one, "
    "and there is a warning.",
    (
        Field(
            "strategy",
            kinds.one_of(*Strategy),
            "one-for-one",
            '"one-for-one"',
            "Who is restarted when a member is: `one-for-one`: nobody else; `one-for-all`: all "
            "others that run; `rest-for-one`: those that are started after it. They stop in "
            "reverse order, and when all have gone they start in order. Order is that of `after` "
            "and `requires`, then that of names.",
        ),
        Field(
            "limit",
            kinds.integer(0, 1_000_000),
            0,
            "0",
            "At most so many restarts of its members within `window`; one more, and the member "
            "has failed and the group is stopped. 0 sets no limit.",
        ),
        Field("window", kinds.DURATION, 600.0, '"10m"', "The length of time over which it counts."),
    ),
    make=_make_group,
    optional=True,
)


def groups(names: Iterable[str]) -> Section:
    """The table of groups, which has these."""
    return Section(
        "groups",
        "Groups of workloads.",
        (),
        make=lambda values: {name: group for name, group in values.items() if group is not None},
        parts=(replace(GROUP, keys=tuple(names)),),
    )
