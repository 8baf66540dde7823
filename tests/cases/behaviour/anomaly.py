"""The program runs under anomaly mode and meets NaN in backward."""

import torch

z0 = torch.zeros(2, 3, requires_grad=True)
with torch.autograd.set_detect_anomaly(True):
    loss = (z0.sqrt() * 0).sum()
    loss.backward()
