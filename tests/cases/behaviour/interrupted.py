"""The program is interrupted from the keyboard."""

import torch

z0 = torch.randn(2, 3, requires_grad=True)
x = z0.tanh()
raise KeyboardInterrupt
