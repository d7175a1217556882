"""Control groups made by systemd: one transient scope a container (`--systemd-cgroup`).

Nothing here is imported unless a container is, or was, created that way.
"""
