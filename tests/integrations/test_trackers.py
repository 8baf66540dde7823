"""Each tracker's logger writes to the real package, on this machine; what it holds is read back."""

from __future__ import annotations

import json
import os
import sqlite3
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gradprobe import UsageError
from gradprobe.integrations.logger import log_to
from tests.integrations.optimised import TURNS, optimise

pytestmark = pytest.mark.filterwarnings("default")  # theirs, on import

Series = dict[str, list[float]]
KEYS = {
    "grad_norm/z0",
    "grad_norm/start_state",
    "grad_norm/final_output",
    *(f"grad_norm/denoised_output/{step}" for step in (0, 1)),
    "grad_norm/step_input/1",
}


def same(series: Series, norms: list[float]) -> None:
    assert set(series) == KEYS
    assert series["grad_norm/z0"] == pytest.approx(norms, rel=1e-5)
    assert {len(values) for values in series.values()} == {TURNS}


def test_tensorboard(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from torch.utils.tensorboard import SummaryWriter

    from gradprobe.integrations.tensorboard import TensorBoardLogger

    with SummaryWriter(tmp_path) as writer:
        norms = optimise(TensorBoardLogger(writer))
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    assert [e.step for e in events.Scalars("grad_norm/z0")] == [0, 1, 2]
    tags = events.Tags()["scalars"]
    same({tag: [e.value for e in events.Scalars(tag)] for tag in tags}, norms)


def test_mlflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    import mlflow

    from gradprobe.integrations.mlflow import MLflowLogger

    mlflow.set_tracking_uri((tmp_path / "store").as_uri())
    with mlflow.start_run() as run:
        norms = optimise(MLflowLogger())
    client = mlflow.MlflowClient()
    keys = client.get_run(run.info.run_id).data.metrics
    history = {key: client.get_metric_history(run.info.run_id, key) for key in keys}
    assert [m.step for m in history["grad_norm/z0"]] == [0, 1, 2]
    same({key: [m.value for m in metrics] for key, metrics in history.items()}, norms)


def test_mlflow_takes_a_run_that_is_not_active(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    import mlflow

    from gradprobe.integrations.mlflow import MLflowLogger

    mlflow.set_tracking_uri((tmp_path / "store").as_uri())
    client = mlflow.MlflowClient()
    run = client.create_run("0")
    norms = optimise(MLflowLogger(run.info.run_id))
    assert mlflow.active_run() is None
    metrics = client.get_run(run.info.run_id).data.metrics
    assert metrics["grad_norm/z0"] == pytest.approx(norms[-1], rel=1e-5)


def run_alone(program: str, folder: Path, **environment: str) -> list[float]:
    """Trackers that start threads and services of their own are given a process of their own."""
    text = f"from optimised import optimise\n{program}"
    done = subprocess.run(
        [sys.executable, "-c", text, str(folder)],
        env={**os.environ, **environment, "PYTHONPATH": str(Path(__file__).parent)},
        capture_output=True, text=True, timeout=240, check=False, cwd=folder,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    norms: list[float] = json.loads(done.stdout.splitlines()[-1])
    return norms


WANDB = """
import json, sys, wandb
from gradprobe.integrations.wandb import WandbLogger
run = wandb.init(dir=sys.argv[1], mode="offline", project="noise")
run.log({"own": 0.5}, step=10)
norms = optimise(WandbLogger(run))
run.log({"own": 0.25}, step=20)
run.finish()
print(json.dumps(norms))
"""


def test_wandb_offline(tmp_path: Path) -> None:
    norms = run_alone(WANDB, tmp_path, WANDB_SILENT="true")
    (log,) = tmp_path.glob("wandb/offline-run-*/run-*.wandb")
    rows = [row for row in wandb_rows(log) if any(key.startswith("grad_norm") for key in row)]
    series: Series = {}
    for row in rows:
        for key, value in row.items():
            if key.startswith("grad_norm"):
                series.setdefault(key, []).append(value)
    assert [row["gradprobe/backward"] for row in rows] == [0, 1, 2]
    same(series, norms)
    own = [row for row in wandb_rows(log) if "own" in row]
    assert [(row["_step"], row["own"]) for row in own] == [(10, 0.5), (20, 0.25)]


def wandb_rows(log: Path) -> list[dict[str, Any]]:
    from wandb.proto import wandb_internal_pb2

    rows = []
    for data in leveldb_records(log.read_bytes()[7:], offset=7):
        record = wandb_internal_pb2.Record()
        record.ParseFromString(data)
        if record.WhichOneof("record_type") == "history":
            items = record.history.item
            rows.append(
                {(i.key or "/".join(i.nested_key)): json.loads(i.value_json) for i in items}
            )
    return rows


def leveldb_records(log: bytes, offset: int) -> Iterator[bytes]:
    """Of LevelDB's log format (its doc/log_format.md), which such a file has after 7 bytes."""
    block, whole, at = 1 << 15, b"", 0
    while at + 7 <= len(log):
        left = block - (at + offset) % block
        if left < 7:
            at += left  # no header fits: zeros
            continue
        _, length, kind = struct.unpack_from("<IHB", log, at)
        whole += log[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # full, last
            yield whole
            whole = b""


TRACKIO = """
import json, sys, trackio
from gradprobe.integrations.trackio import TrackioLogger
run = trackio.init(project="noise", name="one")
norms = optimise(TrackioLogger(run))
trackio.finish()
print(json.dumps(norms))
"""


def test_trackio(tmp_path: Path) -> None:
    norms = run_alone(TRACKIO, tmp_path, TRACKIO_DIR=str(tmp_path), HF_HUB_OFFLINE="1")
    (base,) = tmp_path.rglob("noise.db")
    with sqlite3.connect(base) as rows:
        found = [
            json.loads(r[0]) for r in rows.execute("select metrics from metrics order by step")
        ]
    series = {key: [row[key] for row in found] for key in found[0] if key.startswith("grad_norm")}
    same(series, norms)


def test_what_an_accelerator_logs_with(tmp_path: Path) -> None:
    import accelerate
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    from gradprobe.integrations.accelerate import AccelerateLogger

    accelerator = accelerate.Accelerator(cpu=True, log_with="tensorboard", project_dir=tmp_path)
    accelerator.init_trackers("noise")
    norms = optimise(AccelerateLogger(accelerator))
    accelerator.end_training()
    events = EventAccumulator(str(tmp_path / "noise"))
    events.Reload()
    tags = events.Tags()["scalars"]
    same({tag: [e.value for e in events.Scalars(tag)] for tag in tags}, norms)


class Kept:
    def __init__(self) -> None:
        self.rows: list[tuple[int, dict[str, float]]] = []

    def log(self, norms: Any, index: int) -> None:
        self.rows.append((index, dict(norms)))


def test_any_object_with_log_is_a_logger_and_several_get_the_same() -> None:
    one, other = Kept(), Kept()
    norms = optimise(one, other, every=2, prefix="g")
    assert one.rows == other.rows
    assert [index for index, _ in one.rows] == [0, 2]
    assert [row["g/z0"] for _, row in one.rows] == pytest.approx(norms[::2], rel=1e-5)


@pytest.mark.parametrize("every", [0, -1])
def test_of_no_pass_none_is_sent(every: int) -> None:
    with pytest.raises(UsageError, match=f"every is {every}"):
        log_to(Kept(), every=every)


def test_what_has_no_log_is_refused() -> None:
    wrong: Callable[..., Any] = print
    with pytest.raises(UsageError, match="is no logger: it has no method `log`"):
        log_to(wrong)  # type: ignore[arg-type]


def test_the_seam_imports_no_tracker() -> None:
    trackers = ("tensorboard", "wandb", "mlflow", "trackio")
    ours = ", ".join(f"gradprobe.integrations.{name}" for name in ("logger", *trackers))
    code = f"import sys, {ours}; print([m for m in {('torch', *trackers)} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
