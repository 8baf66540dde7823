"""`gradprobe selftest`: the project's first example, run as a check of an installation."""
