"""Workload directories while creched runs: noticing changes, and doing what they lead to."""
