"""The life of a container: its order, written once, and the blocking driver of that order."""
