"""Another thread samples and calls backward; the main thread waits."""

import threading

import torch

torch.manual_seed(0)
z0 = torch.randn(2, 3, requires_grad=True)
w = torch.randn(2, 3, requires_grad=True)


def work():
    (w.exp() + 1).sum().backward()


thread = threading.Thread(target=work)
thread.start()
thread.join()
(z0.exp() * 2).sum().backward()
print(torch.is_grad_enabled(), w.grad is not None)
