"""crechectl's commands: one module each; the table of them is commands.py."""
