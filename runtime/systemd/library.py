"""Finding jeepney, which speaks D-Bus: the one package that is not in the standard library.

`creche` runs with `-I -S`: an interpreter that knows no site-packages, because reading them costs
every container tens of milliseconds. The places where packages are installed are looked through
only here, last of all places and for this one package, so that nothing else is found there.
"""

from __future__ import annotations

import os
import sys

from runtime.errors import CrecheError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType

REMEDY = "install it (Debian: apt-get install python3-jeepney; or: pip install jeepney)"


def places() -> list[str]:
    """Directories of packages: beside our own, the checkout's environment, this interpreter's."""
    package = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    found = [
        package,
        f"{package}/.venv/lib/{version}/site-packages",
        f"{sys.base_prefix}/local/lib/{version}/dist-packages",
        f"{sys.base_prefix}/lib/python3/dist-packages",
        f"{sys.base_prefix}/lib/{version}/site-packages",
    ]
    return list(dict.fromkeys(found))


def load(looked: list[str] | None = None) -> ModuleType:
    """The module jeepney.io.blocking, with jeepney. Raises CrecheError with the remedy."""
    looked = places() if looked is None else looked
    before = sys.path[:]
    sys.path += [place for place in looked if os.path.isdir(f"{place}/jeepney")]
    try:
        import jeepney.io.blocking
    except ImportError as error:
        raise CrecheError(
            f"--systemd-cgroup needs the Python package jeepney ({error}); {REMEDY}. "
            f"Looked in: {', '.join(looked)}"
        ) from None
    finally:
        sys.path[:] = before
    blocking: ModuleType = jeepney.io.blocking
    return blocking
