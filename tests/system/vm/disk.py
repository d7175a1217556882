"""The second disk of the machine: a copy of directories of this one, and the command to run."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

SIZE = 8 << 30  # bytes, as the machine sees it; the file is sparse
_SPARE_MIB = 512
_BLOCK = 4096

# No journal and no checksums: the disk lives as long as one run.
_FEATURES = "^has_journal,^metadata_csum,^resize_inode"


def make_share(tmp: Path, shares: Mapping[str, Path], command: str) -> Path:
    """Write an ext4 image with each directory under its name, and ``command`` for the runner."""
    top, disk = tmp / "share", tmp / "share.img"
    top.mkdir()
    size = count = 0
    for name, source in shares.items():
        shutil.copytree(source, top / name, symlinks=True)
    (top / "command").write_text(command + "\n")
    for where, directories, files in os.walk(top):
        size += _BLOCK
        count += len(directories) + len(files)
        for file in files:
            with contextlib.suppress(OSError):
                length = os.lstat(os.path.join(where, file)).st_size
                size += -(-length // _BLOCK) * _BLOCK
    mebibytes = (size >> 20) * 11 // 10 + _SPARE_MIB
    words = ["mke2fs", "-q", "-F", "-t", "ext4", "-m", "0", "-N", str(count + 65536)]
    words += ["-O", _FEATURES, "-E", "lazy_itable_init=1,root_owner=0:0"]
    subprocess.run([*words, "-d", top, disk, f"{mebibytes}M"], check=True, capture_output=True)
    shutil.rmtree(top)
    # Every machine sees a disk of the same size, one that was saved before this was made, too.
    os.truncate(disk, SIZE)
    return disk
