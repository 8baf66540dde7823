"""Where the stages of a library's samplers are: one file per library, tables of selectors.

An adapter is loaded when the program runs code that its key names: a package that was imported, or
for code that lies in checkouts, the name of a file. Nothing of the library is patched.
"""

from __future__ import annotations

from gradprobe.registry import Registry

# By the name of the package that the running code belongs to.
packages = Registry("gradprobe.adapters", {})

# By the file's own name, for repositories that people copy rather than install.
files = Registry("gradprobe.adapters.files", {})
