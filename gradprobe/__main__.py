"""`python -m gradprobe` is the command `gradprobe`."""

from __future__ import annotations

import sys

from gradprobe.cli import main

if __name__ == "__main__":  # also imported by the workers of a traced program
    sys.exit(main())
