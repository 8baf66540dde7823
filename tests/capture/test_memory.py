"""Values that take other ways than an op's result: writes, shared memory, data outside torch."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.traced import Traced, trace

START = """
import torch

z0 = torch.linspace(-1.0, 2.0, 12).view(3, 4).requires_grad_()
y = z0 * 2.0
buffer = torch.zeros(3, 4)
"""

REACHES = {
    "index assigned": "buffer[0] = y[0]",
    "index of the whole": "buffer[...] = y",
    "mask assigned": "buffer[buffer == 0] = y.flatten()",
    "view by index written": "buffer[1].copy_(y[1])",
    "view by slice written": "buffer[1:].add_(y[1:])",
    "view of a view": "buffer.t()[1:].t().mul_(2.0).add_(y[:, 1:])",
    "diagonal": "buffer[:, :3].diagonal().copy_(y[:, :3].diagonal())",
    "augmented assignment": "buffer += y",
    "augmented slice": "buffer[1:] += y[1:]",
    "index_put_": "buffer.index_put_((torch.tensor([0]),), y[:1])",
    "index_add_": "buffer.index_add_(0, torch.tensor([1]), y[:1])",
    "scatter_": "buffer.scatter_(0, torch.zeros(3, 4, dtype=torch.int64), y)",
    "masked_scatter_": "buffer.masked_scatter_(buffer == 0, y)",
    "foreach": "torch._foreach_add_([buffer], [y])",
    "base written after the view": "part = buffer[0]; buffer.copy_(y); buffer = part",
    "narrow": "part = buffer.narrow(0, 0, 1); part.copy_(y[:1])",
    "unbind": "torch.zeros(1); rows = buffer.view(3, 2, 2); rows[0].copy_(y[0].view(2, 2))",
    "requires_grad after": "held = [buffer]; held[0].add_(y)",
}


def assert_flows(run: Traced) -> None:
    assert run.raised is None
    assert run.report.verdict == "flows", run.report.headline
    assert run.report.findings == ()
    assert run.flow("z0").reaches
    assert run.flow("z0").cuts == ()


@pytest.mark.parametrize("line", REACHES.values(), ids=REACHES)
def test_a_write_carries_values_and_gradient(line: str, tmp_path: Path) -> None:
    run = trace(tmp_path, f"{START}{line}\nloss = buffer.pow(2).sum()\nloss.backward()\n")
    assert_flows(run)


UNTRACKED = {
    "out": "torch.mul(y, 3.0, out=buffer)",
    "out of a view": "torch.mul(y[0], 3.0, out=buffer[1])",
    "several outs": "torch.max(y, 1, out=(buffer[:, 0], torch.zeros(3, dtype=torch.int64)))",
    "copy_": "buffer.copy_(y)",
    "copy_ to a view": "buffer[2].copy_(y[2])",
    "index assigned": "buffer[0] = y[0]",
}


@pytest.mark.parametrize("line", UNTRACKED.values(), ids=UNTRACKED)
def test_a_write_with_recording_off_is_found_where_it_happens(line: str, tmp_path: Path) -> None:
    run = trace(
        tmp_path,
        f"""{START}
with torch.no_grad():  # <- opens
    {line}  # <- lost
loss = (buffer + torch.ones(1, requires_grad=True)).pow(2).sum()
loss.backward()
""",
        leaves=["z0"],
    )
    assert run.report.unseen == ()
    assert run.first.code == "GP102"
    assert run.is_at(run.first.at, "lost")
    assert run.is_at(run.first.opened_by, "opens")
    assert run.report.verdict == "broken"


@pytest.mark.parametrize(
    "line", ["y.mul_(0.5)", "y[0] = 0.3", "y[1].add_(y[2])", "torch.tanh(y, out=y)"]
)
def test_a_live_tensor_written_with_recording_off_is_no_clean_run(
    line: str, tmp_path: Path
) -> None:
    run = trace(
        tmp_path,
        f"""{START}
with torch.no_grad():  # <- opens
    {line}  # <- lost
loss = (y + 0.1 * z0).sum()
loss.backward()
""",
    )
    assert run.report.verdict == "partial"
    assert [(f.code, f.severity) for f in run.report.findings] == [("GP102", "warning")]
    assert run.is_at(run.first.at, "lost")
    assert run.is_at(run.first.opened_by, "opens")


@pytest.mark.parametrize(
    ("part", "beside"),
    [
        ("buffer[:, :2]", "buffer[:, 2:]"),
        ("buffer[:, ::2]", "buffer[:, 1::2]"),
        ("buffer.t()[0]", "buffer[:, 1]"),
        ("buffer.view(12)[:5]", "buffer.view(12)[5:]"),
        ("buffer.view(2, 6)[0]", "buffer[2]"),
        ("buffer.diagonal()", "buffer.view(12)[1:5]"),
    ],
)
def test_a_write_beside_a_view_does_not_reach_it(part: str, beside: str, tmp_path: Path) -> None:
    run = trace(
        tmp_path,
        f"""{START}
w = torch.ones(1, requires_grad=True)
part, beside = {part}, {beside}
part.copy_(y.flatten()[: part.numel()].view(part.shape))
loss = (w * beside).sum()
loss.backward()
""",
    )
    assert run.raised is None
    assert not run.flow("z0").used
    assert run.flow("w").reaches


def test_a_tensor_on_other_memory_is_no_alias_any_more(tmp_path: Path) -> None:
    run = trace(
        tmp_path,
        f"""{START}
w = torch.ones(1, requires_grad=True)
part = buffer[0]
part.data = torch.ones(4)
buffer.add_(y)
loss = (w * part).sum()
loss.backward()
""",
    )
    assert not run.flow("z0").used
    assert run.flow("w").reaches


@pytest.mark.parametrize(
    "move",
    [
        "z0.data -= 0.1 * z0.grad",
        "z0.data = z0.data - 0.1 * z0.grad",
        "z0.detach().sub_(0.1 * z0.grad)",
        "with torch.no_grad(): z0.sub_(0.1 * z0.grad)",
        "with torch.no_grad(): z0 -= 0.1 * z0.grad",
        "with torch.no_grad(): z0.copy_(z0 - 0.1 * z0.grad)",
        "with torch.no_grad(): z0[0] = z0[0] - 0.1 * z0.grad[0]",
        "torch.optim.SGD([z0], 0.1, momentum=0.9).step()",
        "torch.optim.Adam([z0], 0.1, foreach=True).step()",
        "torch.optim.AdamW([z0], 0.1, foreach=False).step()",
    ],
)
@pytest.mark.parametrize("ask", ["loss.backward()", "z0.grad, = torch.autograd.grad(loss, z0)"])
def test_a_leaf_stays_the_leaf_when_its_values_are_moved(
    move: str, ask: str, tmp_path: Path
) -> None:
    run = trace(
        tmp_path,
        f"""
import torch

z0 = torch.linspace(-1.0, 2.0, 4).requires_grad_()
for iteration in range(5):
    z0.grad = None
    loss = (z0 * 2.0 - 1.0).pow(2).sum()
    {ask}
    {move}
""",
        forgets=False,
    )
    assert run.raised is None
    assert run.report.verdict == "flows", run.report.headline
    assert run.report.findings == ()
    (leaf,) = run.trace.leaves
    assert leaf.name == "z0"
    assert len(leaf.values) > 5
    measured = [list(seen.reached.values()) for seen in run.trace.passes]
    assert len(measured) == 5
    assert all(len(stats) == 1 and stats[0] is not None for stats in measured)
    assert set(leaf.values) >= {v for seen in run.trace.passes for v in seen.reached}


CUTS = {
    "Parameter": "y = torch.nn.Parameter(y * 1.0)",
    "tensor, requires_grad": "y = torch.tensor(y, requires_grad=True)",
    "detached leaf": "y = y.detach().requires_grad_()",
    "view made in no_grad": "with torch.no_grad(): y = y[1:]",
    "unbound in no_grad": "with torch.no_grad(): y = y.unbind(0)[0]",
}


@pytest.mark.parametrize("line", CUTS.values(), ids=CUTS)
def test_a_tensor_that_requires_grad_without_history_is_a_cut(line: str, tmp_path: Path) -> None:
    run = trace(
        tmp_path,
        f"{START}{line}  # <- lost\nloss = (y * 2.0).sum()\nloss.backward()\n",
        leaves=["z0"],
    )
    assert not run.flow("z0").reaches
    assert run.flow("z0").used
    assert run.report.verdict == "broken"
    assert run.is_at(run.first.at, "lost")
    assert run.first.code in ("GP101", "GP102", "GP105")


def test_a_parameter_read_in_no_grad_makes_no_leaf(tmp_path: Path) -> None:
    run = trace(
        tmp_path,
        f"""{START}
layer = torch.nn.Linear(4, 4)
with torch.no_grad():
    row = layer.weight[0]
    other = layer.weight.t()
loss = layer(y).sum() + row.sum() + other.sum()
loss.backward()
""",
    )
    assert [leaf.name for leaf in run.report.leaves] == ["z0"]
    assert_flows(run)


RETURNS = {
    "item": "s = y.mean().item(); x = z0 * s",
    "float": "s = float(y[0, 1] * 0.37); x = z0 * s",
    "number in a list": "s = (y * 0.37).tolist()[1][2]; x = z0 * s",
    "list": "x = torch.tensor(y.tolist())",
    "numpy": "x = torch.from_numpy(y.detach().numpy())",
    "numpy, computed": "x = torch.from_numpy(y.detach().numpy() * 2.0)",
    "numpy, twice": "x = torch.from_numpy(torch.from_numpy(y.detach().numpy()).numpy())",
    "as_tensor": "x = torch.as_tensor(y.detach().numpy())",
}


@pytest.mark.parametrize("way", ["item", "float", "list", "numpy", "numpy, twice", "as_tensor"])
def test_what_left_torch_and_came_back_is_proven(way: str, tmp_path: Path) -> None:
    run = trace(tmp_path, f"{START}{RETURNS[way]}  # <- left\nloss = x.sum()\nloss.backward()\n")
    found = [f for f in run.report.findings if f.code == "GP104"]
    assert found, run.report.headline
    assert found[0].certainty == "proven"
    assert run.is_at(found[0].at, "left")


def test_what_seems_to_have_come_back_is_suspected(tmp_path: Path) -> None:
    text = f"{START}{RETURNS['numpy, computed']}  # <- left\nloss = x.sum()\nloss.backward()\n"
    run = trace(tmp_path, text)
    assert run.first.code == "GP104"
    assert run.first.certainty == "suspected"
    assert run.is_at(run.first.at, "left")


def test_round_numbers_are_not_taken_for_what_left(tmp_path: Path) -> None:
    run = trace(
        tmp_path,
        f"""{START}
shown = torch.full((1,), 0.5).item() + float(z0.detach()[0, 0].round())
x = z0 * 0.5 * -1.0
loss = x.sum()
loss.backward()
""",
    )
    assert_flows(run)


def test_a_function_given_one_tensor_twice_needs_one_gradient_for_it(tmp_path: Path) -> None:
    run = trace(
        tmp_path,
        f"""{START}
class First(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, y):
        return x * y.detach()

    @staticmethod
    def backward(ctx, grad):
        return grad, None

loss = First.apply(y, y).sum()
loss.backward()
""",
    )
    assert run.flow("z0").reaches
    assert run.report.verdict == "flows"
