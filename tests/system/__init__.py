"""Tests in a machine of their own, booted with systemd: `./dev system`."""
