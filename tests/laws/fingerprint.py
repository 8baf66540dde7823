"""Everything that a program can see of its own run, as JSON.

Values, gradients and random states by hash of their bytes; what ended the program; the modes that
are on; and which attributes of torch's modules and classes are no longer the objects they were.
"""

from __future__ import annotations

import contextlib
import gc
import hashlib
import random
import signal
import sys
import threading
import traceback
import types
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

WATCHED = (
    "builtins",
    "gc",
    "numpy",
    "random",
    "sys",
    "threading",
    "torch",
    "torch._C",
    "torch._C._autograd",
    "torch._compile",
    "torch._tensor",
    "torch.autograd",
    "torch.autograd.forward_ad",
    "torch.autograd.function",
    "torch.autograd.functional",
    "torch.autograd.grad_mode",
    "torch.autograd.graph",
    "torch.compiler",
    "torch.func",
    "torch.nn",
    "torch.nn.functional",
    "torch.nn.init",
    "torch.nn.modules.module",
    "torch.nn.parameter",
    "torch.optim",
    "torch.optim.optimizer",
    "torch.overrides",
    "torch.random",
    "torch.utils._contextlib",
    "torch.utils._python_dispatch",
    "torch.utils.checkpoint",
    "torch.utils.data",
    "warnings",
)
GLOBAL_HOOKS = (
    "_global_backward_hooks",
    "_global_backward_pre_hooks",
    "_global_forward_hooks",
    "_global_forward_pre_hooks",
    "_global_buffer_registration_hooks",
    "_global_module_registration_hooks",
    "_global_parameter_registration_hooks",
)
# A counter of hooks ever made, the probe's own included; and the memory of warnings once shown.
PASSING = ("RemovableHandle.next_id", "__warningregistry__")
DEPTH = 4  # containers in containers


def take(program: Any, arguments: dict[str, Any] | None) -> dict[str, Any]:
    """Run a program, under a probe with these arguments or none, and fingerprint the run."""
    probe: Any = contextlib.nullcontext()
    if arguments is not None:
        import gradprobe

        probe = gradprobe.Probe(**arguments)
    witness = Witness(str(Path(program.path).parent))
    warnings.formatwarning = placeless
    random.seed(0)  # a forked child draws a seed of its own, and so does each import of numpy
    np.random.seed(0)
    before = surface()
    sys.setprofile(witness)
    program.run_to_its_end(probe)
    profiled = sys.getprofile() is witness
    sys.setprofile(None)
    if arguments is not None:
        probe.report()
    return {
        "ended": ending(program.ended, witness.folder),
        "modes": {**modes(), "profile kept": profiled},
        "random": random_states(),
        "hooks": {name: len(getattr(torch.nn.modules.module, name)) for name in GLOBAL_HOOKS},
        "process": process(),
        "changed": changed(before, surface()),
        "tensors": digests(witness.seen + list(named(program.main.__dict__, "__main__", DEPTH))),
    }


def placeless(message: Warning | str, category: type[Warning], *place: object) -> str:
    """A warning without its place: torch's own are placed at the innermost frame, the probe's."""
    kept: list[str] = []
    lines = iter(str(message).splitlines())
    for line in lines:
        if f'File "{gradprobe_folder()}' in line:
            next(lines)  # its source
        else:
            kept.append(line)
    return "\n".join([f"{category.__name__}: {kept[0]}", *kept[1:], ""])


def gradprobe_folder() -> str:
    return str(Path(__file__).resolve().parents[2] / "gradprobe")


class Witness:
    """A profile function that keeps the tensors held by locals of the program's own functions."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.seen: list[tuple[str, Tensor]] = []
        self.returns = 0

    def __call__(self, frame: types.FrameType, event: str, argument: object) -> None:
        code = frame.f_code
        if event != "return" or not code.co_filename.startswith(self.folder):
            return
        if code.co_name == "<module>":
            return
        self.returns += 1
        label = f"{self.returns} {code.co_qualname}"
        # By name: a profile function has the interpreter keep a copy of a frame's variables, whose
        # order tells when the copy was made, and not what the program did.
        self.seen += named(dict(sorted(frame.f_locals.items())), label, DEPTH)
        self.seen += named(argument, f"{label} returns", DEPTH)


def named(thing: object, label: str, depth: int) -> Iterator[tuple[str, Tensor]]:
    """The tensors in a value, each with a name; parameters and buffers of modules included."""
    if isinstance(thing, Tensor):
        yield label, thing
    elif depth and isinstance(thing, dict):
        for key, value in list(thing.items()):
            yield from named(value, f"{label}.{key}", depth - 1)
    elif depth and type(thing) in (list, tuple):
        for index, value in enumerate(thing):  # type: ignore[arg-type]
            yield from named(value, f"{label}[{index}]", depth - 1)
    elif isinstance(thing, torch.nn.Module):
        for part in ("_parameters", "_buffers"):
            yield from named(thing.__dict__.get(part), label, 1)  # a scripted one has none
        for key, module in thing.__dict__.get("_modules", {}).items():
            yield from named(module, f"{label}.{key}", depth)


def digests(tensors: list[tuple[str, Tensor]]) -> list[str]:
    """One line a tensor, in the order in which they were seen."""
    done: dict[int, str] = {}
    lines = []
    with torch._C.DisableTorchFunction(), torch.inference_mode(False), torch.no_grad():
        for label, tensor in tensors:
            if id(tensor) not in done:
                done[id(tensor)] = digest(tensor)
            lines.append(f"{label}: {done[id(tensor)]}")
    return lines


def digest(tensor: Tensor) -> str:
    version = None if tensor.is_inference() else tensor._version
    grad_fn = None if tensor.is_inference() else tensor.grad_fn
    words = [
        f"{type(tensor).__name__}{tuple(tensor.shape)} {tensor.dtype} {tensor.stride()}",
        f"requires_grad={tensor.requires_grad} leaf={tensor.is_leaf} version={version}",
        f"{type(grad_fn).__name__} {hashed(tensor)}",
    ]
    if tensor.is_leaf or tensor.retains_grad:
        words.append("no grad" if tensor.grad is None else f"grad {hashed(tensor.grad)}")
    return " ".join(words)


def hashed(tensor: Tensor) -> str:
    if torch._C._functorch.is_functorch_wrapped_tensor(tensor) or tensor.is_meta:
        return "no bytes"
    if type(tensor).__torch_dispatch__ is not Tensor.__torch_dispatch__:  # it wraps another
        inner = getattr(tensor, "inner", None)
        inner = getattr(tensor, "_local_tensor", inner)
        return "no bytes" if inner is None else f"around {hashed(inner)}"
    # An expanded single element counts as contiguous, and cannot be viewed as bytes.
    flat = tensor.detach().reshape(-1).clone(memory_format=torch.contiguous_format)
    return hashlib.sha256(flat.view(torch.uint8).numpy().tobytes()).hexdigest()[:16]


def ending(error: BaseException | None, folder: str) -> dict[str, Any] | None:
    """The exception, the ones behind it, and where it went through the program's own code."""
    if error is None:
        return None
    own = [
        f"{Path(frame.filename).name}:{frame.lineno} {frame.name}"
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename.startswith(folder)
    ]
    return {
        "type": f"{type(error).__module__}.{type(error).__qualname__}",
        "text": str(error),
        "args": repr(error.args),
        "notes": getattr(error, "__notes__", []),
        "own frames": own,
        "cause": ending(error.__cause__, folder),
        "context": ending(error.__context__, folder),
    }


def modes() -> dict[str, Any]:
    functions = torch.overrides._get_current_function_mode_stack()
    dispatches = torch.utils._python_dispatch._get_current_dispatch_mode_stack()
    return {
        "grad": torch.is_grad_enabled(),
        "inference": torch.is_inference_mode_enabled(),
        "function modes": [type(mode).__qualname__ for mode in functions],
        "dispatch modes": [type(mode).__qualname__ for mode in dispatches],
        "function dispatch": torch._C._is_torch_function_enabled(),
        "anomaly": torch.is_anomaly_enabled(),
        "saved tensors hooks": torch._C._autograd._saved_tensors_hooks_is_enabled(),
        "multithreading": torch.autograd.is_multithreading_enabled()
        if hasattr(torch.autograd, "is_multithreading_enabled")
        else None,
        "default dtype": str(torch.get_default_dtype()),
        "default device": str(torch.get_default_device()),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "threads": torch.get_num_threads(),
        "autocast": torch.is_autocast_enabled("cpu"),
        "stance": repr(torch._dynamo.eval_frame._stance),
    }


def random_states() -> dict[str, str]:
    states = {
        "torch": torch.get_rng_state().numpy().tobytes(),
        "numpy": repr(np.random.get_state()).encode() + np.random.get_state()[1].tobytes(),
        "random": repr(random.getstate()).encode(),
    }
    return {name: hashlib.sha256(state).hexdigest()[:16] for name, state in states.items()}


def process() -> dict[str, Any]:
    return {
        "trace": sys.gettrace() is None,
        "interrupt": repr(signal.getsignal(signal.SIGINT)),
        "threads": threading.active_count(),
        "collector": [gc.isenabled(), gc.get_threshold(), len(gc.callbacks)],
        "argv": sys.argv[1:],
        "path": len(sys.path),
        "recursion": sys.getrecursionlimit(),
        "warning filters": len(warnings.filters),
        "exception hooks": [
            sys.excepthook is sys.__excepthook__,
            threading.excepthook is threading.__excepthook__,
            sys.unraisablehook is sys.__unraisablehook__,
        ],
    }


def surface() -> dict[str, object]:
    """Every attribute of the watched modules and of the classes that they define or hold."""
    found: dict[str, object] = {}
    for name in WATCHED:
        module = sys.modules.get(name)
        if module is None:
            continue
        for key, value in list(vars(module).items()):
            found[f"{name}.{key}"] = value
            if isinstance(value, type):
                for attribute, member in list(vars(value).items()):
                    found[f"{name}.{key}.{attribute}"] = member
    return found


def changed(before: dict[str, object], after: dict[str, object]) -> list[str]:
    """The names whose object is another one now. Submodules that were imported do not count."""
    gone = [f"- {name}" for name in before if name not in after]
    other = [f"~ {n}" for n, value in after.items() if n in before and before[n] is not value]
    new = [
        f"+ {name}"
        for name, value in after.items()
        if name not in before and not isinstance(value, types.ModuleType)
    ]
    return sorted(name for name in gone + other + new if not name.endswith(PASSING))
