"""In which order workloads start and stop: pure."""
