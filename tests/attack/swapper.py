"""Program: exchange two directory entries again and again, until standard input ends.

Words: ONE OTHER. renameat2(2) with RENAME_EXCHANGE is atomic: at any moment one of the two is at
either name. Writes one byte to standard output after the first exchange.
"""

import ctypes
import os
import select
import sys

AT_FDCWD = -100
RENAME_EXCHANGE = 2
BATCH = 512
BATCHES = 1_000_000  # an end even if whoever started us is gone and its pipe is not


def main() -> None:
    """Exchange in batches, and look at standard input between them."""
    libc = ctypes.CDLL(None, use_errno=True)
    one, other = (os.fsencode(word) for word in sys.argv[1:3])
    for number in range(BATCHES):
        for _ in range(BATCH):
            if libc.renameat2(AT_FDCWD, one, AT_FDCWD, other, RENAME_EXCHANGE) < 0:
                raise OSError(ctypes.get_errno(), "renameat2")
        if number == 0:
            os.write(1, b".")
        if select.select([0], [], [], 0)[0]:
            return


if __name__ == "__main__":
    main()
