"""The command line: one file per command, each a parser and a `run`."""
