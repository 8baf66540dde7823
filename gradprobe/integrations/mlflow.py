"""MLflow: a metric for each leaf and stage, sent as one batch for each backward."""

from __future__ import annotations

from collections.abc import Mapping


class MLflowLogger:
    """Logs to the run with this id, by default to the active one, through MLflow's own calls.

    Raises `ImportError` where MLflow is not installed.
    """

    def __init__(self, run_id: str | None = None) -> None:
        import mlflow

        self._log = mlflow.log_metrics
        self.run_id = run_id

    def log(self, norms: Mapping[str, float], index: int) -> None:
        self._log(dict(norms), step=index, run_id=self.run_id)
