"""The command line: reading it, helping with it, and saying what went wrong."""
