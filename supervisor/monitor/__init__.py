"""How a container is: its own word (notify socket), what probes find, its watchdog."""
