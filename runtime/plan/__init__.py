"""From a validated configuration to a launch plan: pure, no system call, no root, no clock."""
