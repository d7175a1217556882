"""Images that attack: one with a working Python in it, one full of traps for a foreign one."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from tests.support.export import libraries

LIBRARY = Path(os.__file__).parent
LOADERS = ("lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu", "lib64", "lib", "usr/lib")
NAMESAKES = ("libnss_files.so.2", "libnss_trap.so.2", "libseccomp.so.2", "libffi.so.8")

TRAP = """import posix
fd = posix.open("{marker}", posix.O_WRONLY | posix.O_CREAT | posix.O_APPEND, 0o666)
posix.write(fd, b"%s ran as %d\\n" % (__name__.encode(), posix.getuid()))
posix.close(fd)
"""


def add_python(rootfs: Path, interpreter: Path) -> None:
    """Add what an interpreter from elsewhere needs to start: its loader and libraries, `encodings`.

    With it, `#!/proc/self/exe` in this image runs Python, whichever file that is.
    """
    for path in libraries(interpreter):
        target = rootfs / str(path).lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path.resolve(), target)
    library = rootfs / str(LIBRARY).lstrip("/")
    (library / "lib-dynload").mkdir(parents=True)
    shutil.copytree(LIBRARY / "encodings", library / "encodings")
    for name in ("os.py", "codecs.py", "io.py", "abc.py", "stat.py", "posixpath.py"):
        shutil.copy(LIBRARY / name, library / name)


def add_traps(rootfs: Path, *places: Path) -> list[Path]:
    """Fill an image with modules and libraries that a runtime might load in there by mistake.

    places: absolute directories, as the interpreter outside knows them, for modules; each module
    of the standard library has a namesake there that writes /marker. Returns the directories in
    which nothing may be opened.
    """
    trap = rootfs / "trap.py"
    trap.write_text(TRAP.format(marker="/marker"))
    watched = []
    for place in places:
        directory = rootfs / str(place).lstrip("/")
        (directory / "encodings").mkdir(parents=True)
        (directory / "lib-dynload").mkdir()
        # Links to one file: hundreds of files take a while.
        for name in sys.stdlib_module_names | {"sitecustomize", "usercustomize"}:
            os.link(trap, directory / f"{name}.py")
        for original in (LIBRARY / "encodings").glob("*.py"):
            os.link(trap, directory / "encodings" / original.name)
        watched += [directory, directory / "encodings", directory / "lib-dynload"]
    for loader in LOADERS:
        for name in NAMESAKES:
            write(rootfs / loader / name, "no library")
        watched.append(rootfs / loader)
    write(rootfs / "etc/nsswitch.conf", "passwd: trap\ngroup: trap\nhosts: trap\n")
    write(rootfs / "etc/ld.so.cache", "no cache")
    return [*watched, rootfs / "etc/nsswitch.conf", rootfs / "etc/ld.so.cache"]


def write(path: Path, text: str) -> None:
    """Write a file, and make its directory."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
