"""The breaks: how each is written into one statement, and what counts as naming it.

`{}` in `value` is the expression that the statement had; in `statement`, the whole statement with
that value. Nothing here adds a line, so that the line of the break is the line of the statement.
`healed` is the value of a twin that computes the same numbers and keeps the gradient.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from benchmarks.breaks.places import Text
from benchmarks.breaks.sites import Kind, Site

Frame = Literal["at", "opened_by"]
# How plain torch shows the break: in z0's gradient, in that it is exactly zero, or in that the
# optimiser changes nothing.
Shows = Literal["gradient", "zero", "descent"]

_VALUES: tuple[Kind, ...] = ("assign", "augmented", "return")
_ASSIGNED: tuple[Kind, ...] = ("assign",)
_KEPT = "(_kept := ({}) * 1.0) * _kept.cos()"


@dataclass(frozen=True, slots=True)
class Operator:
    """One kind of break. `codes` are the right ones, and `frame` is the place that has to be it.

    Where torch raises, the words of its message may decide on another code: `raised` has them.
    """

    name: str
    codes: tuple[str, ...]
    value: str = "{}"
    statement: str = "{}"
    healed: str = "{}"
    frame: Frame = "at"
    kinds: tuple[Kind, ...] = _VALUES
    shows: Shows = "gradient"
    swaps: tuple[tuple[str, str], ...] = ()
    raised: Mapping[str, str] | None = None
    leaf: str | None = None  # given as --leaf

    def broken_text(self, text: str, site: Site) -> str:
        return self._text(text, site, self.value, self.statement, self.swaps)

    def healed_text(self, text: str, site: Site) -> str:
        return self._text(text, site, self.healed, "{}", ())

    def _text(
        self,
        text: str,
        site: Site,
        value: str,
        statement: str,
        swaps: tuple[tuple[str, str], ...],
    ) -> str:
        source = Text(text)
        old = source.at(site.value)
        for before, after in swaps:
            old = old.replace(before, after)
        begin, end = (o - source.offsets(site.whole)[0] for o in source.offsets(site.value))
        whole = source.at(site.whole).encode()
        new = whole[:begin] + value.replace("{}", old).encode() + whole[end:]
        return source.replaced([(site.whole, statement.replace("{}", new.decode()))])

    def right_codes(self, message: str | None) -> tuple[str, ...]:
        """The codes that are right where plain torch raised `message`."""
        for words, code in (self.raised or {}).items():
            if message is not None and words in message:
                return (code,)
        return self.codes


_OVERWRITTEN = {"modified by an inplace operation": "GP201"}

_CUTS = (
    Operator("detach", ("GP101",), "({}).detach()"),
    Operator("data", ("GP101",), "({}).data"),
    # The first op that is lost may be inside of a call: the cause is the `with`. Of `x += y` the
    # write goes past autograd, and where x had been saved, that is what torch says.
    Operator(
        "no_grad",
        ("GP102",),
        statement="with torch.no_grad(): {}",
        frame="opened_by",
        raised=_OVERWRITTEN,
    ),
    Operator(
        "grad_left_off",
        ("GP102",),
        statement="torch.set_grad_enabled(False); {}",
        frame="opened_by",
        raised=_OVERWRITTEN,
    ),
    # Where a later op wants to keep the inference tensor for backward, torch raises.
    Operator(
        "inference_mode",
        ("GP103",),
        statement="with torch.inference_mode(): {}",
        frame="opened_by",
        kinds=("assign", "return"),
        raised={"Inference tensors cannot be saved": "GP205"},
    ),
    # The detach in front is only what numpy asks for.
    Operator("numpy", ("GP104",), "torch.from_numpy(({}).detach().numpy())"),
    Operator("numpy_math", ("GP104",), "torch.from_numpy(({}).detach().numpy() * 1.0)"),
    Operator("tolist", ("GP104",), "torch.tensor(({}).tolist())"),
    Operator(
        "item",
        ("GP104",),
        "torch.full_like(_kept := ({}), _kept.mean().item())",
        healed="torch.zeros_like(_kept := ({})) + _kept.mean()",
    ),
    Operator("copy", ("GP105",), "torch.tensor({})"),
    Operator(
        "integer_cast",
        ("GP106",),
        "(({}) * 64).to(torch.int32).to(torch.float32) / 64",
        healed="(_kept := ({})) + ((_kept * 64).to(torch.int32).to(torch.float32) / 64 - _kept)"
        ".detach()",
    ),
    Operator(
        "argmax",
        ("GP107",),
        "torch.nn.functional.one_hot((_kept := ({})).argmax(-1), _kept.shape[-1]).to(_kept.dtype)",
        healed="(_kept := ({})) + (torch.nn.functional.one_hot(_kept.argmax(-1), _kept.shape[-1])"
        ".to(_kept.dtype) - _kept).detach()",
    ),
    Operator(
        "threshold",
        ("GP107",),
        "((_kept := ({})) > 0).to(_kept.dtype)",
        healed="(_kept := ({})) + ((_kept > 0).to(_kept.dtype) - _kept).detach()",
    ),
    Operator(
        "none_function",
        ("GP111",),
        "Gate.apply({})",
        statement="from gate import Gate; {}",
    ),
)

_NUMBERS = (
    Operator(
        "round",
        ("GP301",),
        "(({}) * 8).round() / 8",
        healed="(_kept := ({})) + ((_kept * 8).round() / 8 - _kept).detach()",
    ),
    # 0 / 0 in the derivative of a square root at 0.
    Operator("nonfinite", ("GP302",), "(_kept := ({})) + (_kept - _kept).sqrt()"),
    # Where another way is left, neither of these is a loss: samplers multiply by an exact zero and
    # clamp by right. They count where nothing at all arrives.
    Operator("saturated_clamp", ("GP303",), "({}).clamp(-1e-9, 1e-9)", shows="zero"),
    Operator("saturated_tanh", ("GP303",), "(({}) + 1e4).tanh()", shows="zero"),
    Operator("zero_factor", ("GP304",), "({}) * 0.0", shows="zero"),
)

_WRITES = (
    Operator(
        "saved_result",
        ("GP201",),
        "({}).sigmoid().mul_(1.5)",
        healed="({}).sigmoid().mul(1.5)",
    ),
    Operator(
        "saved_factor",
        ("GP201",),
        _KEPT,
        statement="{}; _kept.add_(1e-3)",
        healed=_KEPT,
        kinds=_ASSIGNED,
    ),
    Operator(
        "data_write",
        ("GP202",),
        _KEPT,
        statement="{}; _kept.data.mul_(0.5)",
        healed=_KEPT,
        kinds=_ASSIGNED,
    ),
    Operator(
        "zeroing_hook",
        ("GP206",),
        "(_kept := ({}) * 1.0)",
        statement="{}; _kept.register_hook(torch.zeros_like)",
        kinds=_ASSIGNED,
    ),
)

_LEAVES = (
    Operator("frozen", ("GP108",), statement="z0.requires_grad_(False); {}", kinds=("start",)),
    # Nothing in such a program says that z0's gradient is wanted: the user has to.
    Operator(
        "unasked",
        ("GP108",),
        swaps=((", requires_grad=True", ""),),
        kinds=("leaf",),
        leaf="z0",
    ),
    Operator(
        "stale_draw",
        ("GP109",),
        swaps=(("z0", "torch.randn_like(z0)"),),
        frame="opened_by",
        kinds=("start",),
    ),
    Operator(
        "stale_binding",
        ("GP109",),
        statement="{}; z0 = z0.detach().clone().requires_grad_()",
        kinds=("start",),
    ),
    Operator("no_leaf", ("GP110",), "({}) * 1.0", kinds=("leaf",)),
    Operator("leaf_written", ("GP204",), statement="z0.mul_(1.5); {}", kinds=("start",)),
)

_DESCENTS = (
    Operator(
        "wrong_tensor",
        ("GP401",),
        swaps=(("[z0]", "[z0.detach().clone().requires_grad_()]"),),
        kinds=("optimizer",),
        shows="descent",
    ),
    Operator(
        "cleared",
        ("GP402",),
        statement="{}; optimizer.zero_grad()",
        kinds=("backward",),
        shows="descent",
    ),
    Operator(
        "reset",
        ("GP403",),
        statement="z0.data.copy_(start); {}",
        kinds=("start",),
        shows="descent",
    ),
)

OPERATORS = {o.name: o for o in (*_CUTS, *_NUMBERS, *_WRITES, *_LEAVES, *_DESCENTS)}

# What `none_function` imports: a file beside the script.
GATE = """\
import torch


class Gate(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, grad):
        return None
"""
