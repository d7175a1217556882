"""Program: execute another with many inherited descriptors.

Words: DIRECTORY FILE LAST PROGRAM ARGUMENT... Descriptors from 3 to LAST become DIRECTORY (odd
ones) and FILE (even ones), as a careless caller would leave them open.
"""

import os
import sys


def main() -> None:
    """Open, duplicate, execute."""
    directory, file, last, *argv = sys.argv[1:]
    kinds = [os.open(file, os.O_RDWR), os.open(directory, os.O_RDONLY | os.O_DIRECTORY)]
    high = [os.dup2(fd, 1000 + index) for index, fd in enumerate(kinds)]
    for number in range(3, int(last) + 1):
        os.dup2(high[number % 2], number)
    for fd in high:
        os.close(fd)
    os.execv(argv[0], argv)


if __name__ == "__main__":
    main()
