"""Start of `creche`: also works as a plain script under `python -I`, which has no package path.

Called by the shell script `creche` next to it as `__main__.py --called-as NAME WORDS...`. Nothing
else belongs here: a script that is run directly is compiled anew each time.
"""

import os
import sys


def hold_standard_descriptors() -> None:
    """Open /dev/null for a closed 0, 1 or 2, or the next file opened would be taken for it."""
    for fd in (0, 1, 2):
        try:
            os.fstat(fd)
        except OSError:
            # The lowest free number is this one. Programs that we start get it, too.
            os.set_inheritable(os.open("/dev/null", os.O_RDWR), True)


def start() -> None:
    """Run the command line and end the process, without the interpreter's tidying up."""
    if sys.version_info < (3, 11):  # noqa: UP036
        os.write(
            2, b"creche needs Python 3.11 or newer, not " + os.fsencode(sys.executable) + b"\n"
        )
        os._exit(1)
    hold_standard_descriptors()
    package = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
    if package not in sys.path:
        # Last: next to the package may lie anything (site-packages), and the standard library's
        # modules must not be found there.
        sys.path.append(package)
    from runtime.cli.main import main

    words = sys.argv[1:]
    if len(words) > 1 and words[0] in ("--called-as", "--sealed-as"):
        words = words[1:]
    else:
        words.insert(0, "creche")
    status = main(words)
    os._exit(status)


if __name__ == "__main__":
    start()
