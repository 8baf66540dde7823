"""Hugging Face Trainer: a callback that watches `trainer.train`."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from gradprobe.integrations.trained import TrainedRun
from gradprobe.records.report import Report


class GradprobeCallback(TrainerCallback):
    """Watches a training from its begin to its end; `report` is there afterwards.

        with GradprobeCallback(leaf="z0", report="train.html") as callback:
            Trainer(model, arguments, train_dataset=data, callbacks=[callback]).train()

    Takes what `TrainedRun` takes. The trainer tells no callback that it raised: as a context this
    one ends then too, and reports as far as the training came. Without it the probe runs on until
    another begins.
    """

    def __init__(self, **settings: Any) -> None:
        self._run = TrainedRun(gives_way=True, **settings)
        self._processes = (0, 1)

    @property
    def report(self) -> Report | None:
        return self._run.report

    def on_train_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,
    ) -> None:
        self._processes = (args.process_index, args.world_size)
        self._run.begin()

    def on_train_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,
    ) -> None:
        self._end(judge=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._end(judge=False)

    def _end(self, *, judge: bool) -> None:
        rank, ranks = self._processes
        self._run.end(rank=rank, ranks=ranks, judge=judge)
