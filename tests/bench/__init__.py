"""Benchmarks beside peers, in one run: `./dev bench`. Nothing here passes or fails by time."""
