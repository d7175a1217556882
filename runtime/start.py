"""From the first instruction in Python to a command's exit status."""

from __future__ import annotations

import gc
import os
import sys

from runtime import KEPT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.pack import Pack


def hold_standard_descriptors() -> None:
    """Open /dev/null for a closed 0, 1 or 2, or the next file opened would be taken for it."""
    for fd in (0, 1, 2):
        try:
            os.fstat(fd)
        except OSError:
            # The lowest free number is this one. Programs that we start get it, too.
            os.set_inheritable(os.open("/dev/null", os.O_RDWR), True)


def run(package: str) -> None:
    """Run the command line and end the process, without the interpreter's tidying up.

    package: directory of `runtime` and `hooks`.
    """
    # A start makes thousands of objects that stay: looking for garbage is a tenth of it.
    gc.set_threshold(50_000)
    hold_standard_descriptors()
    pack = _pack(package)
    words = sys.argv[1:]
    if len(words) > 1 and words[0] in ("--called-as", "--sealed-as"):
        words = words[1:]
    else:
        words.insert(0, "creche")
    if pack is not None:
        pack.preload(words[1:])
    from runtime.cli.main import main

    status = main(words)
    if pack is not None and (pack.outdated or len(pack.loaded) > pack.listed):
        from runtime.packing import note, renew

        renew(pack)
        note(pack, words)
    os._exit(status)


def _pack(package: str) -> Pack | None:
    """Have modules imported from packs, if this is the kept interpreter, which only root starts."""
    if sys.executable != f"{KEPT}/python3":
        return None
    from runtime.pack import Pack

    pack = Pack(package)
    sys.meta_path.insert(0, pack)
    return pack
