"""One module per command: its flags and help in COMMAND, its work in run().

Only the module of the command that runs is imported (runtime.cli.main).
"""
