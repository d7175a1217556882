"""What can go wrong with networks."""

from runtime.errors import CrecheError


class NetworkError(CrecheError):
    """A network cannot be as declared; the text names the step, the object, the key, a remedy."""
