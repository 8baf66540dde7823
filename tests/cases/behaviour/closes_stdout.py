"""The program writes to both streams and replaces one."""

import io
import sys

import torch

print("before")
kept, sys.stdout = sys.stdout, io.StringIO()
z0 = torch.randn(2, 3, requires_grad=True)
z0.sin().sum().backward()
print("hidden")
text = sys.stdout.getvalue()
sys.stdout = kept
print(text.upper(), end="")
sys.stderr.write("to the error stream\n")
