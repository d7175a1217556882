"""creche: an OCI runtime with runc's command line.

Standard library and libseccomp only; nothing here imports trio, structlog, pyroute2 or pyinotify.
"""

VERSION = "0.1.0"
SPEC_VERSION = "1.3.0"

KEPT = "/run/creche.sealed"
"""Where commands leave something for later ones, until the next boot: kept.py, pack.py,
seccomp/saved.py."""
