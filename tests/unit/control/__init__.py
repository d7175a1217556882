"""The control sockets, without root."""
