"""creched as a service of systemd: what it is told, what it tells, what is kept for it."""
