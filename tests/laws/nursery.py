"""Runs programs one by one, each in a child forked from a process that has torch imported.

    python nursery.py      then one JSON request a line on standard input, one answer a line

A request: `{"program", "args", "mode", "truth"}`. `mode` is `plain`, `probed`, `measured` (a probe
that measures every node) or `followed` (one that follows what leaves torch): the answer is a
fingerprint of all that the program can see of its run. `report`, `nodes` or `follow`: it is the
probe's report, `nodes` with every node measured. `shown`: it is what plain torch shows of the
leaf's gradient.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import json
import os
import signal
import sys
import tempfile
import types
import warnings
from pathlib import Path
from typing import Any

LIMIT = 120  # seconds for one program
WARM = {
    "diffusers": (
        "diffusers.models.unets.unet_2d",
        "diffusers.models.autoencoders.vq_model",
        "diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion",
        "diffusers.schedulers.scheduling_lms_discrete",
        "diffusers.schedulers.scheduling_dpmsolver_sde",
    ),
    "transformers": ("transformers.models.clip.image_processing_pil_clip",),
    "torchdiffeq": ("torchdiffeq",),
    "torchsde": ("torchsde",),
    "scipy": ("scipy.integrate",),
    "torch": ("torch.utils.checkpoint", "torch._dynamo"),
    # The plain runs have it too: test_observe.py asserts that its import changes nothing.
    "gradprobe": ("gradprobe.probe", "gradprobe.render.json"),
}


def warm() -> None:
    """Import what most programs import, and nothing that runs a kernel."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("TQDM_DISABLE", "1")
    import torch

    torch.set_num_threads(1)  # no thread pool may exist when a child is forked
    for package, modules in WARM.items():
        if importlib.util.find_spec(package) is not None:
            for module in modules:
                with contextlib.suppress(ModuleNotFoundError):
                    importlib.import_module(module)


def main() -> None:
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warm()
    answers.write("ready\n")
    answers.flush()
    for line in sys.stdin:
        answers.write(json.dumps(in_child(json.loads(line))) + "\n")
        answers.flush()


def in_child(request: dict[str, Any]) -> dict[str, Any]:
    """Fork, run the request, and return its answer with what it wrote to both streams."""
    with tempfile.TemporaryDirectory() as folder:
        places = [Path(folder, name) for name in ("answer", "stdout", "stderr")]
        child = os.fork()
        if child == 0:
            status = 1
            os.setsid()
            try:
                status = deliver(request, *places)
            finally:
                os._exit(status)
        _, status = os.waitpid(child, 0)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)  # a process that the program left behind
        answer, out, err = places
        texts = {
            "stdout": out.read_text(errors="replace") if out.exists() else "",
            "stderr": err.read_text(errors="replace") if err.exists() else "",
        }
        if not answer.exists():
            return {"failed": f"the child ended with status {status}", **texts}
        return {**json.loads(answer.read_text()), **texts}


def deliver(request: dict[str, Any], answer: Path, out: Path, err: Path) -> int:
    signal.alarm(LIMIT)
    for path, descriptor in ((os.devnull, 0), (out, 1), (err, 2)):
        with open(path, "rb" if descriptor == 0 else "wb") as file:
            os.dup2(file.fileno(), descriptor)
    sys.path[0] = str(Path(request["program"]).parent)
    sys.path.append(str(Path(__file__).parent))
    import fingerprint
    import plain_torch

    sys.path.pop()
    run, truth = Program(request["program"], request["args"]), request["truth"]
    match request["mode"]:
        case "report" | "nodes" | "follow":
            numerics = "nodes" if request["mode"] == "nodes" else "stages"
            follow = request["mode"] == "follow"
            result = reported(run, truth.get("leaves", []), numerics, follow)
        case "shown":
            result = plain_torch.shown(run, truth["target"], numeric=truth.get("numeric", True))
        case mode:
            arguments = {
                "plain": None,
                "probed": {},
                "measured": {"numerics": "nodes"},
                "followed": {"follow_host": True},
            }
            result = fingerprint.take(run, arguments[mode])
    sys.stdout.flush()
    sys.stderr.flush()
    answer.write_text(json.dumps(result))
    return 0


class Program:
    """A script that runs as `__main__`."""

    def __init__(self, path: str, args: list[str]) -> None:
        self.path = path
        self.main = types.ModuleType("__main__")
        self.main.__dict__.update(__file__=path, __builtins__=__builtins__)
        self.code = compile(Path(path).read_text(encoding="utf-8"), path, "exec")
        self.argv = [path, *args]
        self.ended: BaseException | None = None

    def run(self) -> None:
        """Run the script; its exception, if any, goes through."""
        sys.argv = self.argv
        sys.modules["__main__"] = self.main
        exec(self.code, self.main.__dict__)

    def run_to_its_end(self, probe: contextlib.AbstractContextManager[Any]) -> None:
        """Run the script inside `probe` and keep what ended it."""
        try:
            with probe:
                self.run()
        except BaseException as error:
            self.ended = error


def reported(program: Program, leaves: list[str], numerics: Any, follow: bool) -> dict[str, Any]:
    import gradprobe

    probe = gradprobe.Probe(leaves=leaves, numerics=numerics, follow_host=follow)
    program.run_to_its_end(probe)
    report = probe.report()
    ended = program.ended
    return {
        "report": json.loads(report.render("json")),
        "ended": None if ended is None else f"{type(ended).__name__}: {ended}",
    }


if __name__ == "__main__":
    main()
