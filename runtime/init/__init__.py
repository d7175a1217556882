"""The container's init: executes a launch plan inside the new namespaces, and decides nothing.

Everything below runs after the first namespace step: no imports inside functions, no name service,
no path of the root filesystem as a string (descriptors and openat2 only). See docs/architecture.md.
"""
