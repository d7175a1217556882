"""The plans that the launcher has used last, by digest, with the filters that they compile to."""

from __future__ import annotations

from runtime.jsonio import dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from runtime.seccomp import Prepared

KEPT = 256
"""More of them would make each clone slower: it copies the tables of all of this memory."""


class Profile:
    """A seccomp profile; compiling one takes 4 to 16 ms. Many plans have the same."""

    __slots__ = ("filter", "rules")

    def __init__(self, rules: Any) -> None:
        self.rules = rules
        self.filter: Prepared | None = None


class Known:
    """document: as it came, but for equal profiles, which are one object."""

    __slots__ = ("document", "profile")

    def __init__(self, document: Any, profile: Profile) -> None:
        self.document = document
        self.profile = profile


class Plans:
    """Forgets what has not been used for longest."""

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._known: dict[str, Known] = {}  # in the order of their last use
        self._profiles: dict[str, Profile] = {}

    def get(self, digest: str) -> Known | None:
        """The plan of this digest, if it is still known."""
        known = self._known.pop(digest, None)
        if known is not None:
            self._known[digest] = known
        return known

    def add(self, digest: str, document: Any) -> Known:
        """Remember a plan; its `seccomp` is null or a profile."""
        rules = document["seccomp"]
        text = dumps(rules)
        profile = self._profiles.pop(text, None) or Profile(rules)
        self._profiles[text] = profile
        document["seccomp"] = profile.rules
        self._known[digest] = Known(document, profile)
        for held in (self._known, self._profiles):
            while len(held) > self._kept:
                del held[next(iter(held))]
        return self._known[digest]
