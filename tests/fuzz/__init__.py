"""Fuzzing guided by coverage (atheris), for as long as one likes: `./dev fuzz`."""
