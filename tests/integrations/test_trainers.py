"""Each trainer's adapter in its real package: the report of a run, and its end by an error."""

from __future__ import annotations

import contextlib
import json
import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from gradprobe import GradientLost, Probe, UsageError, load
from gradprobe.records.report import Report
from tests.integrations.sampler import BREAK, Sampled

STEPS = 4
Trained = Callable[..., Report | None]


class Raises(torch.nn.Module):
    """Fails in its third step."""

    def __init__(self) -> None:
        super().__init__()
        self.z0 = torch.nn.Parameter(torch.randn(1, 2))
        self.times = 0

    def forward(self) -> torch.Tensor:
        self.times += 1
        if self.times == 3:
            raise ValueError("no more data")
        return (self.z0 * 2.0).square().mean()


def by_lightning(
    folder: Path, model: torch.nn.Module, plain: bool = False, **settings: Any
) -> Report | None:
    import lightning.pytorch as pl
    from torch.utils.data import DataLoader

    from gradprobe.integrations.lightning import GradprobeCallback

    class Module(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def training_step(self, batch: Any, index: int) -> torch.Tensor:
            loss: torch.Tensor = self.model()
            return loss

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.Adam([self.model.z0], lr=0.01)

    callback = GradprobeCallback(**settings)
    trainer = pl.Trainer(
        max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False,
        callbacks=[] if plain else [callback],
        default_root_dir=folder,
    )  # fmt: skip
    trainer.fit(Module(), DataLoader(range(STEPS)))
    return callback.report


def by_transformers(
    folder: Path, model: torch.nn.Module, plain: bool = False, **settings: Any
) -> Report | None:
    import transformers

    from gradprobe.integrations.transformers import GradprobeCallback

    class Model(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, labels: Any = None) -> dict[str, torch.Tensor]:
            return {"loss": self.model()}

    arguments = transformers.TrainingArguments(
        output_dir=str(folder), max_steps=STEPS, report_to=[], use_cpu=True, save_strategy="no",
        disable_tqdm=True, logging_strategy="no", per_device_train_batch_size=1,
    )  # fmt: skip
    data = [{"labels": 0}] * STEPS
    with GradprobeCallback(**settings) as callback:
        callbacks = [] if plain else [callback]
        transformers.Trainer(Model(), arguments, train_dataset=data, callbacks=callbacks).train()
    return callback.report


def by_accelerate(
    folder: Path, model: torch.nn.Module, plain: bool = False, **settings: Any
) -> Report | None:
    import accelerate

    from gradprobe.integrations.accelerate import probed

    accelerator = accelerate.Accelerator(cpu=True)
    model, optimizer = accelerator.prepare(model, torch.optim.Adam([model.z0], lr=0.01))
    with contextlib.nullcontext() if plain else probed(accelerator, **settings) as probe:
        for _ in range(STEPS):
            with accelerator.accumulate(model):
                optimizer.zero_grad()
                accelerator.backward(model())
                optimizer.step()
    return None if probe is None else probe.report()


TRAINERS = {
    "lightning": by_lightning,
    "transformers": by_transformers,
    "accelerate": by_accelerate,
}


@pytest.fixture(params=TRAINERS)
def trained(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Trained]:
    def run(model: torch.nn.Module, **settings: Any) -> Report | None:
        torch.manual_seed(0)
        return TRAINERS[request.param](tmp_path, model, **settings)

    yield run
    with Probe():  # whatever happened, none runs on
        pass


pytestmark = pytest.mark.filterwarnings("default")  # theirs, of loaders without workers say


def test_a_healthy_run_flows_and_its_report_is_kept(trained: Trained, tmp_path: Path) -> None:
    report = trained(Sampled(), leaf="z0", report=tmp_path / "run.json", fail_on="warning")
    assert report is not None
    assert report.verdict == "flows"
    (leaf,) = report.leaves
    assert leaf.name == "z0"
    assert leaf.grad is not None
    assert leaf.grad.norm > 0
    assert len(report.passes) == STEPS
    assert load(tmp_path / "run.json").leaves == report.leaves
    assert [s.step for s in report.stages if s.name == "denoised_output"] == [0, 1, 2]


def test_a_break_is_named_with_its_line(trained: Trained, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="gradprobe"):
        report = trained(Sampled(breaks=True), leaf="z0")
    assert report is not None
    found = report.findings[0]
    assert (found.code, Path(found.at.file).name, found.at.line) == ("GP101", "sampler.py", BREAK)
    (said,) = [r for r in caplog.records if r.name == "gradprobe"]
    assert said.levelname == "WARNING"
    assert f"sampler.py:{BREAK}" in said.getMessage()


def test_a_break_fails_the_run_at_its_end_where_that_is_asked(trained: Trained) -> None:
    with pytest.raises(GradientLost, match=rf"GP101.*sampler\.py:{BREAK}"):
        trained(Sampled(breaks=True), leaf="z0", fail_on="warning")


def test_an_error_of_the_program_goes_on_and_is_reported_as_far_as_it_came(
    trained: Trained, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="no more data"):
        trained(Raises(), leaf="z0", report=tmp_path / "run.json", fail_on="warning")
    report = load(tmp_path / "run.json")
    assert len(report.passes) == 2
    assert report.verdict == "flows"


def test_the_training_itself_is_the_same_with_and_without(trained: Trained) -> None:
    def end(**settings: Any) -> torch.Tensor:
        model = Sampled()
        trained(model, **settings)
        return model.z0.detach()

    alone = end(plain=True)
    assert torch.equal(alone, end(leaf="z0"))
    assert torch.equal(alone, end(leaf="z0", watch=False))


def test_norms_of_each_backward_go_to_a_logger(trained: Trained) -> None:
    class Kept:
        def __init__(self) -> None:
            self.rows: list[tuple[int, dict[str, float]]] = []

        def log(self, norms: Any, index: int) -> None:
            self.rows.append((index, dict(norms)))

    kept = Kept()
    trained(Sampled(), leaf="z0", loggers=kept, every=2, prefix="g")
    assert [index for index, _ in kept.rows] == [0, 2]
    assert {"g/z0", "g/denoised_output/2"} <= set(kept.rows[0][1])


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"fail_on": "always"}, "fail_on is 'always'; it is one of error, warning, note, never"),
        ({"report": "run.pdf"}, "run.pdf has the ending of no form: it is one of"),
        ({"stages": "x"}, "x"),
        ({"loggers": object()}, "object is no logger: it has no method `log`"),
        ({"loggers": [], "every": 0}, "every is 0"),
    ],
)
def test_what_is_asked_wrongly_is_refused_before_the_run(
    trained: Trained, settings: dict[str, Any], said: str
) -> None:
    with pytest.raises(UsageError, match=said.replace("(", r"\(")):
        trained(Sampled(), **settings)


def test_hugging_face_tells_no_callback_that_it_raised_and_the_next_run_takes_over(
    tmp_path: Path,
) -> None:
    import transformers

    from gradprobe.integrations.transformers import GradprobeCallback

    class Model(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = Raises()

        def forward(self, labels: Any = None) -> dict[str, torch.Tensor]:
            return {"loss": self.model()}

    arguments = transformers.TrainingArguments(
        output_dir=str(tmp_path), max_steps=STEPS, report_to=[], use_cpu=True, save_strategy="no",
        disable_tqdm=True, logging_strategy="no", per_device_train_batch_size=1,
    )  # fmt: skip
    callback = GradprobeCallback(leaf="z0")
    trainer = transformers.Trainer(
        Model(), arguments, train_dataset=[{"labels": 0}] * STEPS, callbacks=[callback]
    )
    with pytest.raises(ValueError, match="no more data"):
        trainer.train()
    with Probe() as probe:
        torch.ones(2, requires_grad=True).sum().backward()
    assert probe.report().verdict == "flows"


PROCESSES = """
import sys, torch, accelerate
from gradprobe.integrations.accelerate import probed
accelerator = accelerate.Accelerator(cpu=True)
net = accelerator.prepare(torch.nn.Linear(4, 4))
z0 = torch.randn(2, 4, requires_grad=True)
with probed(accelerator, leaf="z0", report=sys.argv[1]) as probe:
    x = z0 * 2.0
    if accelerator.process_index:
        x = x.detach().requires_grad_()
    accelerator.backward(net(x).square().mean())
accelerator.end_training()
"""


def test_each_process_has_its_own_report(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROCESSES, encoding="utf-8")
    subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2",
         str(program), str(tmp_path / "run.json")],
        check=True, timeout=240, capture_output=True,
    )  # fmt: skip
    verdicts = [
        json.loads((tmp_path / f"run.rank{rank}.json").read_text())["verdict"] for rank in (0, 1)
    ]
    assert verdicts == ["flows", "broken"]
