"""The only file that touches private names of torch. Each is checked when a probe starts."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.autograd
from torch import Tensor
from torch import overrides as _overrides_module
from torch.jit import _builtins as _builtins_module
from torch.nn.modules import module as _module
from torch.nn.modules._functions import BackwardHookFunction as _BackwardHookFunction
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import _disable_current_modes
from torch.utils.hooks import BackwardHook

_overrides: Any = _overrides_module  # its private functions have no annotations
_builtins: Any = _builtins_module

# The number of autograd nodes made so far in this thread; it grows by one a node.
node_counter: Callable[[], int] = torch._C._autograd._get_sequence_nr

# As `torch.is_grad_enabled`; held here because it is asked at every op.
is_grad_enabled: Callable[[], bool] = torch._C.is_grad_enabled

# While this is on, reading a tensor subclass's attributes does not call its `__torch_function__`.
NoSubclasses: Any = torch._C.DisableTorchFunctionSubclass
# The same of all function modes too; held, because the program's own use of it is watched.
_NoFunctions: Any = torch._C.DisableTorchFunction
# Whether a tensor belongs to a running `torch.func` transform (grad, vmap, jacrev).
in_transform: Callable[[Any], bool] = torch._C._functorch.is_functorch_wrapped_tensor
# Whether one runs now, told by the dispatch key that is on while any does: to ask for the stack of
# transforms makes torch keep one, which from then on is copied for each node of every backward.
_transforms: Callable[[], bool] = partial(
    torch._C._dispatch_tls_is_dispatch_key_included,
    torch._C.DispatchKey.FuncTorchDynamicLayerFrontMode,
)
_tracing_state: Callable[[], Any] = torch._C._get_tracing_state


_STRIDED = torch.strided

# Torch's stack of function modes; its Python functions of these names are each a call more.
_stack_size: Callable[[], int] = torch._C._len_torch_function_stack
_mode_at: Callable[[int], TorchFunctionMode] = torch._C._get_function_stack_at
_pop_mode: Callable[[], TorchFunctionMode] = torch._C._pop_torch_function_stack
_push_mode: Callable[[TorchFunctionMode], None] = torch._C._push_on_torch_function_stack
_dispatch_modes: Callable[[], int] = torch._C._len_torch_dispatch_stack


class aside:
    """What torch does inside is not the program's: no mode of ours or of the program sees it."""

    __slots__ = ("_dispatch", "_functions")

    def __enter__(self) -> None:
        self._functions: Any = _NoFunctions()
        self._functions.__enter__()
        self._dispatch: Any = None
        if _dispatch_modes():
            self._dispatch = _disable_current_modes()
            self._dispatch.__enter__()

    def __exit__(self, *raised: Any) -> None:
        if self._dispatch is not None:
            self._dispatch.__exit__(*raised)
        self._functions.__exit__(*raised)


def has_numbers(tensor: Tensor) -> bool:
    """Whether the elements can be computed with now, as the program's own and unseen by it.

    Not so of meta, fake and sparse tensors and those of a running transform, and not while
    `torch.jit.trace` or a CUDA graph records what is done.
    """
    return (
        _tracing_state() is None
        and tensor.layout is _STRIDED
        and not tensor.is_meta
        and (type(tensor) is Tensor or type(tensor).__torch_dispatch__ is Tensor.__torch_dispatch__)
        and not tensor.is_nested
        and not in_transform(tensor)
        and not _transforms()
        and not (tensor.is_cuda and torch.cuda.is_current_stream_capturing())
        # An emptied storage, as sharded parameters have it.
        and tensor.untyped_storage().size() > 0
    )


def has_number(tensor: Tensor) -> bool:
    """As `has_numbers`, of a single element of torch's own class on the CPU; in fewer questions."""
    return (
        type(tensor) is Tensor
        and not tensor.ndim
        and tensor.is_cpu
        and tensor.layout is _STRIDED
        and _tracing_state() is None
        and not in_transform(tensor)
        and not _transforms()
        and tensor.untyped_storage().size() > 0
    )


def at_hand(tensor: Tensor) -> bool:
    """Whether reading an element waits for no device: asked wherever a number is read at once."""
    return bool(tensor.is_cpu)


def device_of(tensor: Tensor) -> str:
    """The name of its device, as `str` gives it, without making one where there is but one."""
    return "cpu" if tensor.is_cpu else str(tensor.device)


_TORCH_NODE = re.compile(r"[A-Z]\w*Backward\d+")
_NOT_AN_OP = ("", "CopySlices", "CopyBackwards", "torch::autograd::AccumulateGrad")
# The module whose `_engine_run_backward` both `backward` and `grad` call.
engine_owner: Any = torch.autograd
ENGINE_ENTRY = "_engine_run_backward"


def sequence_number(node: Any) -> int:
    """The node's place in the order of creation."""
    return int(node._sequence_nr())


# What torch applies to the tensors that enter and leave a module with full backward hooks.
BackwardHookFunction: Any = _BackwardHookFunction

# The node whose hooks or backward run now in this thread.
current_node: Callable[[], Any] = torch._C._current_autograd_node


def tensor_hooks(tensor: Tensor) -> Any:
    """The dictionary of hooks that `register_hook` put on a tensor; None where there is none."""
    return tensor._backward_hooks


def module_hooks(hook: Any) -> BackwardHook | None:
    """What holds a module's full backward hooks at one call, if torch put `hook` on a node for it.

    Two lists made for that call, `user_hooks` and `user_pre_hooks`, and of the tensors among
    arguments and results their places, `input_tensors_index` and `output_tensors_index`.
    """
    code = getattr(hook, "__code__", None)
    if code is None or not code.co_qualname.startswith("BackwardHook."):
        return None
    found = dict(zip(code.co_freevars, hook.__closure__ or (), strict=True)).get("self")
    around = None if found is None else found.cell_contents
    return around if isinstance(around, BackwardHook) else None


def history(tensor: Tensor) -> Any:
    """`tensor.grad_fn`; None too of a view that torch refuses to give one.

    A view that was made under no_grad has none, and asking for it raises once its base was written.
    """
    try:
        return tensor.grad_fn
    except RuntimeError:
        return None


def base_of_view(tensor: Tensor) -> Tensor | None:
    """The tensor that `tensor` is a view of to autograd, which is no view itself."""
    return tensor._base if tensor._is_view() else None


def has_history(tensor: Tensor) -> bool:
    """Whether `history` is not None. Made for the hot path: it wraps no node.

    A chain of some 45 000 nodes that were all wrapped crashes torch 2.13 when it is freed.
    """
    try:
        return not tensor.is_leaf
    except RuntimeError:
        return False


def has_own_formula(tensor: Tensor) -> bool:
    """Whether a tensor's node is no op's of torch but has a backward that somebody wrote."""
    node = history(tensor)
    name = "" if node is None else str(node.name())
    # torch's own are `MulBackward0`; a Python Function's has its class, a C++ one's its namespace.
    return not (_TORCH_NODE.fullmatch(name) or name in _NOT_AN_OP)


def is_leaf(tensor: Tensor) -> bool | None:
    """`tensor.is_leaf`; None of a view that torch does not answer for (see `history`)."""
    try:
        return bool(tensor.is_leaf)
    except RuntimeError:
        return None


def version(tensor: Tensor) -> int | None:
    """How often the tensor's memory was written; inference tensors do not count."""
    try:
        return int(tensor._version)
    except RuntimeError:
        return None


class EagerStance:
    """Code under `torch.compile` runs as plain Python from `begin` to `end`.

    Importing the compiler takes seconds, so nothing happens until the program itself needs it.
    """

    __slots__ = ("_stance",)

    def __init__(self) -> None:
        self._stance: Any = None

    @staticmethod
    def compiler_loaded() -> bool:
        return "torch._dynamo" in sys.modules

    def begin(self) -> None:
        if self._stance is None:
            self._stance = torch.compiler.set_stance("force_eager")

    def end(self) -> None:
        if self._stance is not None:
            self._stance.__exit__(None, None, None)
            self._stance = None


def scriptable_as(function: Any, original: Any) -> None:
    """Let `torch.jit.script` take a function that stands in the place of one it knows by `id()`."""
    known = _builtins._get_builtin_table()
    if id(original) in known:
        known[id(function)] = known[id(original)]


def not_scriptable(function: Any) -> None:
    """Take that back, before the function dies."""
    _builtins._get_builtin_table().pop(id(function), None)


def other_modes() -> int:
    """How many function modes are on torch's stack that are not torch's own (a default device)."""
    modes = _overrides._get_current_function_mode_stack()
    return sum(type(mode).__module__.partition(".")[0] != "torch" for mode in modes)


def off_stack(mode: TorchFunctionMode) -> bool:
    """Take a function mode off torch's stack if it is the innermost; whether that was so."""
    size = _stack_size()
    innermost = size > 0 and _mode_at(size - 1) is mode
    if innermost:
        _pop_mode()
    return innermost


def take_out(mode: TorchFunctionMode) -> None:
    """Take a function mode out of torch's stack, also from under modes entered after it."""
    above = []
    while _overrides._get_current_function_mode() is not None:
        innermost = _overrides._pop_mode()
        if innermost is mode:
            break
        above.append(innermost)
    for one in reversed(above):
        _overrides._push_mode(one)


def on_stack(mode: TorchFunctionMode) -> None:
    """Put a function mode on torch's stack, innermost."""
    _push_mode(mode)


def forget_keywords(handle: Any) -> None:
    """What torch 2.13 leaves behind of a removed global hook that takes keyword arguments."""
    _module._global_forward_hooks_with_kwargs.pop(getattr(handle, "id", -1), None)


class HooksOfModule:
    """The forward hooks of one module, or the global ones, by the ids that torch gave them.

    For hooks that come and go with each call: a handle each time would cost as much as they do.
    What is said of a global hook (`with_kwargs`, `always_call`) stays until its handle is removed.
    """

    __slots__ = ("_after", "_always", "_before")

    def __init__(self, module: torch.nn.Module | None) -> None:
        self._before: Any = _module._global_forward_pre_hooks
        self._after: Any = _module._global_forward_hooks
        self._always: Any = None
        if module is not None:
            self._before, self._after = module._forward_pre_hooks, module._forward_hooks
            self._always = module._forward_hooks_always_called

    def put(self, before: int, enter: Any, after: int, leave: Any) -> None:
        self._before[before] = enter
        self._after[after] = leave

    def put_first(self, before: int, enter: Any, after: int, leave: Any) -> None:
        """Ahead of a module's own, as global hooks are; `leave` also where the call raises."""
        self.put(before, enter, after, leave)
        self._before.move_to_end(before, last=False)
        self._after.move_to_end(after, last=False)
        self._always[after] = True

    def take_before(self, before: int) -> None:
        self._before.pop(before, None)

    def take_after(self, after: int) -> None:
        self._after.pop(after, None)
        if self._always is not None:
            self._always.pop(after, None)


def global_module_hooks() -> dict[str, Any]:
    """The dictionaries of global module hooks, for a check that nothing of ours stays in them."""
    return {
        "forward_pre": _module._global_forward_pre_hooks,
        "forward": _module._global_forward_hooks,
        "parameter": _module._global_parameter_registration_hooks,
    }
