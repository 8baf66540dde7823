"""Values followed through Python and NumPy: where they left, and that they came back, is proven."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import gradprobe
from tests.traced import Traced, trace

START = """
import math
import numpy as np
import torch

z0 = torch.randn(1, 3, 8, 8, requires_grad=True)
x = z0 * 80.0
"""
END = """
loss = x.pow(2).mean()
loss.backward()
"""

# By name: what is done to x, with the exit's line marked, and whether nothing else is left.
RETURNS: dict[str, tuple[str, str]] = {
    "item": ("x = x * (x.std().item() * 2 + 1)  # <- left", "partial"),
    "item of a view": ("s = x.abs().flatten()[3].item()  # <- left\nx = x / (1 + s)", "partial"),
    "float()": ("x = x * (float(x.std()) * 2)  # <- left", "partial"),
    "float() in a function": (
        "def scaled(x, factor: float):\n"
        "    return x * (float(x.std()) * factor)  # <- left\n"
        "x = scaled(x, 2.0)",
        "partial",
    ),
    "math": ("x = x * math.sqrt(x.var().item())  # <- left", "partial"),
    "math of a tensor": ("x = x * math.sqrt(x.var())  # <- left", "partial"),
    "sum": ("x = x / sum(c.std().item() for c in x[0])  # <- left", "partial"),
    "max": ("x = x / max([c.std().item() for c in x[0]], key=abs)  # <- left", "partial"),
    "mean of a list": ("x = x / np.mean([c.std().item() for c in x[0]])  # <- left", "partial"),
    "clip": (
        "image = np.clip(x.detach().numpy(), -1, 1)  # <- left\nx = torch.from_numpy(image)",
        "broken",
    ),
    "percentile": (
        "s = np.percentile(np.abs(x.detach().numpy()), 99.5)  # <- left\nx = x.clamp(-s, s) / s",
        "partial",
    ),
    "maximum": (
        "s = np.maximum(x.detach().numpy().std(), 1.0)  # <- left\nx = x / s",
        "partial",
    ),
    "asarray": ("x = torch.as_tensor(np.asarray(x.detach()) * 2)  # <- left", "broken"),
    "array": ("x = torch.tensor(np.array(x.detach(), np.float32) + 1)  # <- left", "broken"),
    "stack": (
        "x = torch.from_numpy(np.stack([np.asarray(c.detach()) for c in x[0]]) + 1)  # <- left",
        "broken",
    ),
    "tolist": ("x = torch.tensor([2 * v for v in x.flatten().tolist()])  # <- left", "broken"),
    "torch.Tensor": (
        "x = torch.Tensor([2 * v for v in x.flatten().tolist()])  # <- left",
        "broken",
    ),
    "new_tensor": ("x = x.new_tensor([2 * v for v in x.flatten().tolist()])  # <- left", "broken"),
    "full": ("x = x + torch.full((8,), x.mean().item() * 3)  # <- left", "partial"),
    "fill_": ("x = x + torch.zeros(8).fill_(x.mean().item() * 3)  # <- left", "partial"),
    "index assigned": (
        "shift = torch.zeros(8)\nshift[2] = x.mean().item() * 3  # <- left\nx = x + shift",
        "partial",
    ),
    "linspace": ("x = x * torch.linspace(0, 2 * x.std().item(), 8)  # <- left", "partial"),
    "keyword": ("x = torch.clamp(x, max=2 * x.std().item())  # <- left", "partial"),
    "buffer": (
        "shift = np.zeros(8, dtype=np.float32)\nshift[0] = x.mean().item()  # <- left\n"
        "x = x + torch.from_numpy(shift)",
        "partial",
    ),
    "picture": (
        "from PIL import Image\n"
        "pixels = x[0].permute(1, 2, 0).detach().numpy()  # <- left\n"
        "image = Image.fromarray((pixels.clip(0, 1) * 255).astype(np.uint8)).resize((8, 8))\n"
        "x = torch.from_numpy(np.array(image)).float() / 255",
        "broken",
    ),
    "DLPack and arithmetic": (
        "x = torch.from_dlpack(np.from_dlpack(x.detach()) * 2)  # <- left",
        "broken",
    ),
    "a constant by itself": ("x = x / x.std().item()  # <- left", "partial"),
}


def followed(folder: Path, body: str, **options: Any) -> Traced:
    return trace(folder, f"{START}{body}{END}", follow_host=True, **options)


@pytest.mark.parametrize("name", RETURNS)
def test_what_comes_back_is_proven(name: str, tmp_path: Path) -> None:
    body, verdict = RETURNS[name]
    run = followed(tmp_path, body)
    assert run.report.verdict == verdict, run.report.headline
    assert (run.first.code, run.first.certainty) == ("GP104", "proven")
    assert run.is_at(run.first.at, "left")
    assert [place.word for place in run.first.related] == ["came back"]
    assert [f.code for f in run.report.findings] == ["GP104"]
    if verdict == "broken":
        assert "does not require grad" in str(run.raised)


HEALTHY = {
    "logged": "print(x.std().item() * 2, f'{float(x.mean()):.3f}', x.detach().numpy().max())",
    "steers": "x = x * 0.5 if x.std().item() * 2 > 1 else x * 0.25",
    "counts": "for _ in range(int(x.std().item() / 40)):\n    x = x * 0.5",
    "chooses": "x = x[:, np.argsort(x.detach().numpy().mean((0, 2, 3))).copy()]",
    "chooses in torch": "x = x[:, x.detach().mean((0, 2, 3)).argsort()]",
    "masks": "x = torch.where(torch.from_numpy(x.detach().numpy() > 0), x, 0.5 * x)",
    "plots": (
        "a = x.detach().numpy()\nlow, high = a.min(), a.max()\nshown = (a - low) / (high - low)\n"
        "ticks = torch.linspace(0, 1, 5)"
    ),
    "preview": (
        "from PIL import Image\n"
        "a = (x[0].permute(1, 2, 0).detach().numpy().clip(0, 1) * 255).astype(np.uint8)\n"
        "size = Image.fromarray(a).resize((4, 4)).size\nx = x * (1 / size[0])"
    ),
    "beside the way": "unused = torch.full((8,), x.mean().item() * 3) * torch.ones(8)",
    "shape of what came back": (
        "like = torch.from_numpy(x.detach().numpy() * 2)\nx = x + torch.zeros_like(like)"
    ),
    "numbers of its own": "x = x * np.mean([0.1, 0.3]) + torch.from_numpy(np.zeros(8, np.float32))",
    "constants of a new tensor": "x = x + x.new_tensor([0.25]) + x.new_full((8,), 0.125)",
}


@pytest.mark.parametrize("follow", [False, True])
@pytest.mark.parametrize("name", HEALTHY)
def test_what_does_not_come_back_is_no_finding(name: str, follow: bool, tmp_path: Path) -> None:
    run = trace(tmp_path, f"{START}{HEALTHY[name]}{END}", follow_host=follow)
    assert run.raised is None
    assert run.report.findings == ()
    assert run.report.verdict == "flows", run.report.headline
    assert run.report.unseen == ()


SHARED = {
    "a tensor": "x = torch.from_dlpack(x.detach())  # <- left",
    "an array": "x = torch.from_dlpack(np.from_dlpack(x.detach()))  # <- left",
    "a capsule": (
        "from torch.utils.dlpack import from_dlpack, to_dlpack\n"
        "x = from_dlpack(to_dlpack(x.detach()))  # <- left"
    ),
    "from_numpy": "x = torch.from_numpy(np.from_dlpack(x.detach()))  # <- left",
}


@pytest.mark.parametrize("follow", [False, True])
@pytest.mark.parametrize("name", SHARED)
def test_memory_that_dlpack_lent_is_proven_without_following(
    name: str, follow: bool, tmp_path: Path
) -> None:
    run = trace(tmp_path, f"{START}{SHARED[name]}{END}", follow_host=follow)
    assert [(f.code, f.certainty) for f in run.report.findings] == [("GP104", "proven")]
    assert run.is_at(run.first.at, "left")
    assert "DLPack" in run.first.message


FILLED = {
    "full": "x = x + torch.full((8,), x.mean().item())  # <- left",
    "new_full": "x = x + x.new_full((8,), x.mean().item())  # <- left",
    "full_like": "x = x + torch.full_like(x, x.mean().item())  # <- left",
    "linspace": "x = x * torch.linspace(0.0, x.std().item(), 8)  # <- left",
}


@pytest.mark.parametrize("name", FILLED)
def test_a_number_that_fills_a_tensor_is_known_bit_for_bit(name: str, tmp_path: Path) -> None:
    run = trace(tmp_path, f"{START}{FILLED[name]}{END}")
    assert [(f.code, f.certainty) for f in run.report.findings] == [("GP104", "proven")]
    assert run.is_at(run.first.at, "left")
    assert run.report.verdict == "partial"


def test_other_memory_at_hand_is_not_what_dlpack_lent(tmp_path: Path) -> None:
    run = trace(
        tmp_path,
        f"""{START}
lent = np.from_dlpack(x.detach())
x = x + torch.from_dlpack(np.ones(8, np.float32))
{END}""",
    )
    assert run.report.findings == ()
    assert run.report.verdict == "flows"


SAME_CLASS = {
    "x": ["x = x / x.detach()", "x = x / torch.from_numpy(x.detach().numpy().copy())"],
    "loss": ["loss = loss / loss.detach()", "loss = loss / loss.item()"],
}


@pytest.mark.parametrize("name", SAME_CLASS)
def test_a_constant_from_a_number_is_judged_as_a_detached_one(name: str, tmp_path: Path) -> None:
    said = []
    for line in SAME_CLASS[name]:
        text = f"{START}loss = x.pow(2).mean()\n{line}\nloss.sum().backward()\n"
        run = trace(tmp_path, text.replace("loss = x / ", "x = x / "), follow_host=True)
        said.append((run.report.verdict, [f.severity for f in run.report.findings]))
    assert said[0] == said[1]


def test_exits_at_two_lines_are_two_findings(tmp_path: Path) -> None:
    run = followed(
        tmp_path,
        "a = x.mean().item()  # <- mean\nb = x.std().item()  # <- std\nx = x * a + 2 * b",
    )
    assert [f.code for f in run.report.findings] == ["GP104", "GP104"]
    assert run.is_at(run.report.findings[0].at, "mean")
    assert run.is_at(run.report.findings[1].at, "std")


def test_every_step_is_one_finding(tmp_path: Path) -> None:
    run = followed(tmp_path, "for _ in range(5):\n    x = x / (1 + x.std().item())  # <- left")
    assert [(f.code, f.count) for f in run.report.findings] == [("GP104", 5)]


@pytest.mark.parametrize("forgets", [False, True])
def test_a_long_loop_is_judged_as_a_short_one(forgets: bool, tmp_path: Path) -> None:
    text = f"""{START}
history = np.zeros(40)
for turn in range(40):
    z0.grad = None
    x = z0 * 80.0
    scale = x.std().item()  # <- left
    history[turn] = scale
    loss = (x / (1 + scale)).pow(2).mean()
    loss.backward()
    with torch.no_grad():
        z0 -= 0.01 * z0.grad
print(history.mean())
"""
    run = trace(tmp_path, text, follow_host=True, forgets=forgets)
    assert run.raised is None
    assert run.report.verdict == "partial"
    assert [f.code for f in run.report.findings] == ["GP104"]
    assert run.is_at(run.first.at, "left")


def test_with_the_numbers_of_every_node(tmp_path: Path) -> None:
    run = followed(
        tmp_path,
        "x = (x * (1 + x.std().item())).clamp(-1, 1) * 0.0",
        numerics="nodes",
    )
    assert run.report.verdict == "zero"
    assert {"GP104", "GP304"} <= {f.code for f in run.report.findings}


def test_nothing_of_it_stays_when_the_probe_stops() -> None:
    before = {name: vars(np)[name] for name in vars(np)} | vars(math)
    own = dict(vars(torch.Tensor))
    with gradprobe.Probe(follow_host=True):
        x = torch.ones(3, requires_grad=True)
        kept = (x * 2).sum().item()
        array = (x * 2).detach().numpy()
        root = math.sqrt
    assert before == {name: vars(np)[name] for name in vars(np)} | vars(math)
    assert dict(vars(torch.Tensor)) == own
    assert "float" not in globals()
    assert (kept, repr(array), type(root(kept)).__name__) == (
        6.0,
        "array([2., 2., 2.], dtype=float32)",
        "float",
    )
    # What outlives its probe is of no exit of another.
    with gradprobe.Probe(follow_host=True) as later:
        z0 = torch.ones(3, requires_grad=True)
        (z0 * 2 * kept * torch.from_numpy(array)).sum().backward()
    assert later.report().verdict == "flows"
    assert later.report().findings == ()


def test_a_module_that_uses_the_name_float_otherwise_keeps_it(tmp_path: Path) -> None:
    text = """
    import numpy as np
    import torch
    z0 = torch.randn(4, requires_grad=True)
    x = z0 * 80.0
    def scaled(x):
        a = np.zeros(2, dtype=float)
        return x * float(x.std()) if isinstance(a[0], float) else x
    x = scaled(x)  # a number bit for bit is known without a type of ours
    assert "float" not in globals()
    x.sum().backward()
    """
    run = trace(tmp_path, text, follow_host=True)
    assert run.raised is None
    assert [(f.code, f.certainty) for f in run.report.findings] == [("GP104", "proven")]


def test_the_first_op_of_an_imported_module(tmp_path: Path) -> None:
    (tmp_path / "guide.py").write_text("def spread(x):\n    return float(x.std()) * 2\n")
    sys.path.insert(0, str(tmp_path))
    try:
        text = f"from guide import spread{START}y = x * 2\nx = x / spread(y){END}"
        run = trace(tmp_path, text, follow_host=True)
        assert "float" not in vars(sys.modules["guide"])
    finally:
        sys.path.remove(str(tmp_path))
        sys.modules.pop("guide", None)
    assert run.report.verdict == "partial"
    assert (run.first.at.file, run.first.at.line) == (str(tmp_path / "guide.py"), 2)


def test_torch_scripts_what_uses_math(tmp_path: Path) -> None:
    (tmp_path / "scripted.py").write_text(
        "import math\nimport torch\n\n"
        "def half_root(x: torch.Tensor, n: float) -> torch.Tensor:\n"
        "    return x * math.sqrt(n) * 0.5\n"
    )
    sys.path.insert(0, str(tmp_path))
    try:
        run = followed(
            tmp_path, "import scripted\nx = torch.jit.script(scripted.half_root)(x, 4.0)"
        )
    finally:
        sys.path.remove(str(tmp_path))
        sys.modules.pop("scripted", None)
    assert run.raised is None
    assert run.report.verdict == "flows"


def test_what_cannot_be_followed_stays_suspected(tmp_path: Path) -> None:
    body = (
        "import json\ntext = json.dumps(x.tolist())\n"
        "x = torch.from_numpy(np.array(json.loads(text), np.float32) * 2)"
    )
    run = followed(tmp_path, body)
    assert [(f.code, f.certainty) for f in run.report.findings] == [("GP104", "suspected")]
