"""creched's logic against a machine that is simulated: random workloads, random misfortune.

One number, the seed, decides everything that happens in a run, so a run that breaks a rule
(invariants.py) can be had again: `python -m tests.simulation --seed N`. Time is trio's MockClock.
"""
