"""Close the interpreter before the root changes hands.

Measured with CPython 3.11: after chroot(2), os.execvp imported `warnings` from the image and ran it
as root; an uncaught exception looked for source lines in the image. So nothing can be imported any
more, and an exception that nobody caught says its type and nothing else.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType


def close_import_system() -> None:
    """Leave only the built-in and frozen importers, which read no file."""
    sys.path[:] = []
    sys.path_hooks[:] = []
    sys.path_importer_cache.clear()
    # By name: a module object of importlib need not be imported for this.
    keep = ("BuiltinImporter", "FrozenImporter")
    sys.meta_path[:] = [f for f in sys.meta_path if getattr(f, "__name__", "") in keep]
    sys.excepthook = _say_and_no_more
    sys.unraisablehook = lambda _: None


def _say_and_no_more(
    kind: type[BaseException], error: BaseException, _trace: TracebackType | None
) -> None:
    number = getattr(error, "errno", None)
    text = f"creche init: {kind.__name__}{'' if number is None else f' errno {number}'}\n"
    os.write(2, text.encode("ascii", "replace"))
