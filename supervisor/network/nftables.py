"""libnftables, by ctypes: text as nft(8) takes it, in one transaction. Opened on first use.

Source: nftables' include/nftables/libnftables.h and libnftables(3). Calls block: use a thread.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import runtime.linux.foreign as ctypes
from supervisor.network.errors import NetworkError

SONAME = "libnftables.so.1"
_turn = threading.Lock()
"""Several contexts share what the library keeps for all of them."""
_library: ctypes.CDLL | None = None


class MissingLibrary(NetworkError):
    """There is no libnftables."""


def run(text: str) -> None:
    """Do what it says. Raises NetworkError with what the library says; nothing has changed then."""
    with _turn, _context() as (lib, context):
        status = lib.nft_run_cmd_from_buffer(context, text.encode())
        said = lib.nft_ctx_get_error_buffer(context).decode(errors="replace")
        if status != 0:
            # The lines after the first show the place in the text.
            raise NetworkError(said.strip().partition("\n")[0] or f"status {status}")


def library() -> ctypes.CDLL:
    """The loaded library. Raises MissingLibrary."""
    global _library
    if _library is None:
        try:
            lib = ctypes.CDLL(SONAME)
        except OSError as error:
            raise MissingLibrary(
                f"{SONAME} cannot be loaded: {error} (install the package libnftables1)"
            ) from None
        lib.nft_ctx_new.argtypes = [ctypes.c_uint32]
        lib.nft_ctx_new.restype = ctypes.c_void_p
        lib.nft_ctx_free.argtypes = [ctypes.c_void_p]
        lib.nft_ctx_free.restype = None
        # Or it writes to standard output and standard error.
        for buffer in (lib.nft_ctx_buffer_output, lib.nft_ctx_buffer_error):
            buffer.argtypes = [ctypes.c_void_p]
        lib.nft_ctx_get_error_buffer.argtypes = [ctypes.c_void_p]
        lib.nft_ctx_get_error_buffer.restype = ctypes.c_char_p
        lib.nft_run_cmd_from_buffer.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
        _library = lib
    return _library


@contextmanager
def _context() -> Iterator[tuple[ctypes.CDLL, int]]:
    """A new one each time: it belongs to the network namespace that its thread is in."""
    lib = library()
    context = lib.nft_ctx_new(0)
    if not context:
        raise NetworkError("libnftables has no memory, or no netlink socket")
    try:
        lib.nft_ctx_buffer_output(context)
        lib.nft_ctx_buffer_error(context)
        yield lib, context
    finally:
        lib.nft_ctx_free(context)
