"""The supervisor without the kernel: policy, table, files, and keepers of simulated containers."""
