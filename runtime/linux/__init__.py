"""Linux system calls by ctypes, one module per family, under their kernel names.

Every function raises OSError with the errno and the name of the call; nothing here knows about
containers. Numbers: include/uapi/asm-generic/unistd.h and arch/x86/entry/syscalls/syscall_64.tbl.
"""
