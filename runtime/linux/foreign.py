"""What system calls need of ctypes, taken from the extension module that ctypes is made of.

The package around it is a millisecond of each start, more than all calls of `create` by it.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ctypes import (
        CDLL,
        Array,
        PyDLL,
        Structure,
        addressof,
        byref,
        c_char,
        c_char_p,
        c_int,
        c_long,
        c_size_t,
        c_uint,
        c_uint32,
        c_uint64,
        c_ulong,
        c_ushort,
        c_void_p,
        create_string_buffer,
        get_errno,
        set_errno,
        sizeof,
    )

    c_int32 = c_int
else:
    from _ctypes import (
        FUNCFLAG_CDECL,
        FUNCFLAG_PYTHONAPI,
        FUNCFLAG_USE_ERRNO,
        RTLD_LOCAL,
        Array,
        CFuncPtr,
        Structure,
        _SimpleCData,
        addressof,
        byref,
        dlopen,
        get_errno,
        set_errno,
        sizeof,
    )

    def _simple(name: str, code: str) -> type:
        return type(_SimpleCData)(name, (_SimpleCData,), {"_type_": code, "__slots__": ()})

    # The letters are those of the module struct; Linux on 64 bits is all there is (LP64).
    c_char = _simple("c_char", "c")
    c_char_p = _simple("c_char_p", "z")
    c_void_p = _simple("c_void_p", "P")
    c_ushort = _simple("c_ushort", "H")
    c_int = c_int32 = _simple("c_int", "i")
    c_uint = c_uint32 = _simple("c_uint", "I")
    c_long = _simple("c_long", "l")
    c_ulong = c_uint64 = c_size_t = _simple("c_ulong", "L")

    class CDLL:
        """A library whose functions are attributes: calls release the GIL and return a C int."""

        _flags = FUNCFLAG_CDECL

        def __init__(self, name: str | None, use_errno: bool = False) -> None:
            flags = self._flags | (FUNCFLAG_USE_ERRNO if use_errno else 0)
            members = {"_flags_": flags, "_restype_": c_int}
            self._function = type(CFuncPtr)("Function", (CFuncPtr,), members)
            self._handle = dlopen(name, RTLD_LOCAL)

        def __getitem__(self, name: str) -> CFuncPtr:
            return self._function((name, self))

        def __getattr__(self, name: str) -> CFuncPtr:
            function = self[name]
            setattr(self, name, function)
            return function

    class PyDLL(CDLL):
        """As CDLL; calls keep the GIL."""

        _flags = FUNCFLAG_CDECL | FUNCFLAG_PYTHONAPI

    def create_string_buffer(content: bytes | int, size: int | None = None) -> Array:
        """An array of chars: so many zero bytes, or a copy of `content` and zeroes after it."""
        if isinstance(content, int):
            return (c_char * content)()
        buffer = (c_char * (len(content) + 1 if size is None else size))()
        buffer.value = content
        return buffer


__all__ = [
    "CDLL",
    "Array",
    "PyDLL",
    "Structure",
    "addressof",
    "byref",
    "c_char",
    "c_char_p",
    "c_int",
    "c_int32",
    "c_long",
    "c_size_t",
    "c_uint",
    "c_uint32",
    "c_uint64",
    "c_ulong",
    "c_ushort",
    "c_void_p",
    "create_string_buffer",
    "get_errno",
    "set_errno",
    "sizeof",
]
