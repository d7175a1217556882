"""Start of `creche`: also works as a plain script under `python -I`, which has no package path.

Called by the shell script `creche` next to it as `__main__.py --called-as NAME WORDS...`. Nothing
else belongs here: a script that is run directly is compiled anew each time.
"""

import os
import sys


def start() -> None:
    """Run the command line; does not return."""
    if sys.version_info < (3, 11):  # noqa: UP036
        os.write(
            2, b"creche needs Python 3.11 or newer, not " + os.fsencode(sys.executable) + b"\n"
        )
        os._exit(1)
    package = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
    if package not in sys.path:
        # Last: next to the package may lie anything (site-packages), and the standard library's
        # modules must not be found there.
        sys.path.append(package)
    from runtime import start

    start.run(package)


if __name__ == "__main__":
    start()
