"""Lightning: a callback that watches `trainer.fit`."""

from __future__ import annotations

from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from gradprobe.integrations.trained import TrainedRun
from gradprobe.records.report import Report


class GradprobeCallback(Callback):
    """Watches a fit from its start to its end; `report` is there afterwards.

        Trainer(callbacks=[GradprobeCallback(leaf="z0", report="fit.html", fail_on="error")])

    Takes what `TrainedRun` takes. A fit that raises is reported as far as it came, and goes on
    raising; each process has its own report.
    """

    def __init__(self, **settings: Any) -> None:
        self._run = TrainedRun(**settings)

    @property
    def report(self) -> Report | None:
        return self._run.report

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._run.begin()

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._end(trainer, judge=True)

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        self._end(trainer, judge=False)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._run.abandon()

    def _end(self, trainer: Trainer, *, judge: bool) -> None:
        self._run.end(rank=trainer.global_rank, ranks=trainer.world_size, judge=judge)
