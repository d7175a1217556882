"""Tells somebody when a workload fails, and when it is well again."""
