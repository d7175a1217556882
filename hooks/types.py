"""Shapes of the `hooks` object of config.json (runtime-spec, config.md, "POSIX-platform Hooks").

Only for annotations: imported under TYPE_CHECKING, so that a container's init never pays for
`typing`.
"""

from typing import Literal, Required, TypedDict

StageName = Literal[
    "prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"
]


class Hook(TypedDict, total=False):
    """One program to run.

    path: absolute. args: the whole argv, so args[0] is whatever the hook wants to be called.
    env: `NAME=value` strings. timeout: seconds, greater than zero.
    """

    path: Required[str]
    args: list[str]
    env: list[str]
    timeout: int


class Hooks(TypedDict, total=False):
    """Hooks by kind, each kind in the order in which its programs run."""

    prestart: list[Hook]
    createRuntime: list[Hook]
    createContainer: list[Hook]
    startContainer: list[Hook]
    poststart: list[Hook]
    poststop: list[Hook]
