"""Rooms of the command line: groups of commands that `cli.py` opens its door to."""
