"""Equal parts of many documents as one object: a thousand workloads have one seccomp profile.

What is shared must not be changed in place: who wants another value makes a new dictionary.
"""

from __future__ import annotations

import hashlib
import marshal
import sys
from collections import OrderedDict
from typing import Any

DEPTH = 2
"""Tables within tables are looked at so far down: `linux.seccomp`, `process.capabilities`."""
_KEPT = 512
"""So many parts are remembered; those that all have in common come again and again, and stay."""


class Pool:
    """Remembers the parts that it has seen last."""

    def __init__(self, kept: int = _KEPT) -> None:
        self._kept = kept
        self._parts: OrderedDict[bytes, Any] = OrderedDict()

    def share(self, value: Any, depth: int = DEPTH) -> Any:
        """An equal value, of parts that others have as well. value: as JSON has it."""
        if not isinstance(value, (dict, list)) or not value:
            return value
        # Version 2 of the format says nothing of which objects are one already.
        key = hashlib.blake2b(marshal.dumps(value, 2), digest_size=16).digest()
        known = self._parts.get(key)
        if known is not None:
            self._parts.move_to_end(key)
            return known
        if isinstance(value, dict) and depth > 0:
            value = {sys.intern(name): self.share(part, depth - 1) for name, part in value.items()}
        self._parts[key] = value
        while len(self._parts) > self._kept:
            self._parts.popitem(last=False)
        return value


share = Pool().share
"""The pool of this process."""
