"""[update]: what happens when the files of a workload that runs have changed."""

from __future__ import annotations

from dataclasses import dataclass

from supervisor.workload import kinds
from supervisor.workload.schema import Field, Section, into


@dataclass(frozen=True, slots=True)
class Update:
    """`probation` in seconds."""

    rollback: bool = False
    probation: float = 30.0


UPDATE = Section(
    "update",
    "What happens when its files change while it runs.",
    (
        Field(
            "rollback",
            kinds.BOOLEAN,
            False,
            "false",
            "Whether the version before comes back if the new one fails its probation. It is not "
            "tried again before its files change again. Of a version the files named above are "
            "kept, and so which hooks it has, with their arguments and deadlines. Root file "
            "systems and the programs of hooks are not: what was changed in place stays so, and a "
            "version whose hooks are gone from its directory cannot come back after a restart of "
            "creched.",
        ),
        Field(
            "probation",
            kinds.DURATION,
            30.0,
            '"30s"',
            "How long a new version is watched. It fails if it ends without success, or is not "
            "healthy (ready, where there is no `[health]`) when the time is over.",
        ),
    ),
    make=into(Update),
    live=True,
)
