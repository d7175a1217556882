"""A virtual machine with Debian, systemd and cgroup v2, made for the tests."""
