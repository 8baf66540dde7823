"""TensorBoard: a scalar for each leaf and stage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class TensorBoardLogger:
    """Writes to a `SummaryWriter` of torch's or of tensorboardX, which stays its owner's to close.

    writer = torch.utils.tensorboard.SummaryWriter("runs/z0")
    probe = Probe(watch=True, on_backward=log_to(TensorBoardLogger(writer)))
    """

    def __init__(self, writer: Any) -> None:
        self.writer = writer

    def log(self, norms: Mapping[str, float], index: int) -> None:
        for name, norm in norms.items():
            self.writer.add_scalar(name, norm, index)
