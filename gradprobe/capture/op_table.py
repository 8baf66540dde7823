"""Which torch function does what with values: data, looked up once a function.

Everything that is not listed computes: its result depends on the values of every tensor argument.
"""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType
from typing import Any

from torch._ops import OpOverload, OpOverloadPacket

from gradprobe.records.op import Callee, Kind


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_BY_KIND: dict[Kind, frozenset[str]] = {
    # Facts about a tensor, not its values; control flow (`bool(x > 0)`) is no dataflow either.
    Kind.QUIET: _names(
        "size dim ndimension numel nelement stride storage_offset element_size data_ptr "
        "is_contiguous is_floating_point is_complex is_conj is_neg is_signed is_inference "
        "is_pinned is_shared is_same_size is_set_to is_coalesced is_distributed is_nonzero "
        "is_tensor is_storage is_quantized get_device retain_grad record_stream share_memory_ "
        "has_names __len__ __repr__ __format__ __bool__ __contains__ __hash__ __nonzero__ "
        "__reduce_ex__ __setstate__ __dlpack_device__ dim_order const_data_ptr "
        "equal allclose result_type can_cast promote_types finfo iinfo untyped_storage "
        "storage storage_type _typed_storage backward grad manual_seed get_default_dtype "
        "set_default_dtype is_grad_enabled _is_view sparse_dim dense_dim qscheme device "
        "set_rng_state get_rng_state compile is_inference_mode_enabled "
        "_record_function_enter_new _record_function_exit broadcast_shapes _set_grad_enabled "
        "_has_torch_function get_autocast_dtype"
    ),
    Kind.VIEW: _names(
        "view reshape view_as reshape_as expand expand_as broadcast_to broadcast_tensors "
        "transpose t permute movedim moveaxis swapaxes swapdims squeeze unsqueeze flatten "
        "unflatten ravel narrow select chunk split split_with_sizes tensor_split hsplit "
        "vsplit dsplit unbind unfold diagonal as_strided contiguous atleast_1d atleast_2d "
        "atleast_3d adjoint view_as_real view_as_complex real imag conj resolve_conj "
        "resolve_neg positive T mT H mH __iter__ __reversed__ meshgrid unsafe_chunk "
        "unsafe_split unsafe_split_with_sizes slice squeeze_ unsqueeze_ t_ transpose_ "
        "swapaxes_ swapdims_ dropout feature_dropout identity"
    ),
    Kind.CAST: _names(
        "to type type_as float double half bfloat16 long int short char byte bool chalf cfloat "
        "cdouble cuda cpu xpu ipu mtia pin_memory to_dense to_sparse to_mkldnn dequantize"
    ),
    Kind.SELECT: _names(
        "__getitem__ gather index_select take take_along_dim where masked_select embedding "
        "embedding_bag index masked_fill scatter scatter_add index_add index_copy index_fill "
        "index_put scatter_reduce masked_scatter select_scatter slice_scatter one_hot"
    ),
    Kind.SHAPE_ONLY: _names(
        "zeros_like ones_like empty_like full_like new_zeros new_ones new_empty new_full "
        "new_empty_strided new_tensor_like empty_strided zeros ones empty full arange "
        "linspace logspace eye range tril_indices triu_indices empty_permuted hann_window "
        "hamming_window blackman_window bartlett_window kaiser_window complex_window fftfreq "
        "rfftfreq"
    ),
    Kind.RANDOM: _names(
        "randn rand randint randperm randn_like rand_like randint_like bernoulli multinomial "
        "poisson bernoulli_ cauchy_ exponential_ geometric_ log_normal_ normal_ random_ "
        "uniform_ normal"
    ),
    Kind.OVERWRITE: _names("zero_ fill_ copy_ set_"),
    Kind.HOST: _names("from_numpy frombuffer from_file from_dlpack asarray as_tensor tensor"),
    Kind.COPY: _names("new_tensor"),
    Kind.DETACH: _names("detach detach_ detach_copy"),
    Kind.EXIT: _names(
        "item tolist numpy __array__ __float__ __int__ __index__ __complex__ __long__ __dlpack__"
    ),
    Kind.LEAF: _names(
        "requires_grad_ register_hook register_post_accumulate_grad_hook __deepcopy__"
    ),
}
_KIND_OF = {name: kind for kind, names in _BY_KIND.items() for name in names}

_OVERLOADS = (OpOverload, OpOverloadPacket)
_OWN_OPS = ("torch._ops.aten", "torch._ops.prim", "torch._ops.quantized")
_GETTERS_THAT_VIEW = _names("T mT H mH real imag")
_SETTERS = {"requires_grad": Kind.LEAF, "grad": Kind.LEAF, "data": Kind.OVERWRITE}

# In a name ending in `_` the first argument is written; these only look like it.
_NOT_WRITES = _names(
    "requires_grad_ detach_ share_memory_ __init__ retain_grad_ squeeze_ unsqueeze_ t_ transpose_"
    " swapaxes_ swapdims_"
)

# The first tensor argument carries values, the others give shape, dtype or device.
FIRST_ONLY = _names("to type_as view_as reshape_as expand_as resize_as_")

# Each result is a view of one argument.
ONE_EACH = _names("broadcast_tensors meshgrid atleast_1d atleast_2d atleast_3d")
# Draws whose distribution is made of the values of their tensor arguments; the others of none.
DRAWN_FROM = _names("normal bernoulli bernoulli_ multinomial poisson")
# `x[:] = y` writes all of x: not what `__setitem__` is of other indices.
WHOLE = Callee("Tensor.__setitem__", Kind.OVERWRITE)


def is_whole(index: Any) -> bool:
    """Whether an index is `[:]` or `[...]`."""
    if type(index) is slice:
        return index.start is None and index.stop is None and index.step is None
    return index is Ellipsis


# Of the shape of a first tensor argument, if there is one, and the value of every other.
FILLS = _names("full full_like new_full linspace logspace arange")


def classify(func: Callable[..., Any]) -> tuple[Callee, str]:
    """A function's callee record and its bare name (`__get__` is resolved to the attribute)."""
    name = getattr(func, "__name__", None) or type(func).__name__
    if type(func) in _OVERLOADS:
        name = name.partition(".")[0]  # `mul.Tensor`
    if name in ("__get__", "__set__", "__delete__"):
        attribute = getattr(getattr(func, "__self__", None), "__name__", "?")
        return Callee(f"Tensor.{attribute}", _accessor(name, attribute)), f"{attribute}.{name}"
    return Callee(_shown(func, name), Kind.UNSEEN if is_foreign(func) else _kind(name)), name


def is_foreign(func: Callable[..., Any]) -> bool:
    """Whether it is an op that is not torch's own: who wrote it decides what happens inside."""
    module = getattr(func, "__module__", None) or "torch"
    if type(func) in _OVERLOADS:
        return not module.startswith(_OWN_OPS)
    return isinstance(func, FunctionType) and module.partition(".")[0] != "torch"


def mutated(func: Callable[..., Any]) -> tuple[tuple[int, str], ...]:
    """The arguments, by place and name, that a foreign op says it writes to."""
    overloads: list[Any] = [func]
    if type(func) is OpOverloadPacket:
        packet: Any = func
        overloads = [getattr(packet, name) for name in packet.overloads()]
    schema = getattr(overloads[0], "_schema", None) if len(overloads) == 1 else None
    if schema is None:
        return ()
    return tuple(
        (place, argument.name)
        for place, argument in enumerate(schema.arguments)
        if argument.alias_info is not None and argument.alias_info.is_write
    )


def _shown(func: Callable[..., Any], name: str) -> str:
    """The name users write: `Tensor.mul`, `torch.cat`, `torch.nn.functional.conv2d`.

    Not `torch.overrides.resolve_name`: its first call resets the program's warning filters.
    """
    owner = getattr(func, "__objclass__", None)
    if owner is not None or "Tensor." in getattr(func, "__qualname__", ""):
        return f"Tensor.{name}"
    module = getattr(func, "__module__", None) or "torch"
    if module.startswith(("torch.nn.functional", "torch._C._nn")):
        return f"torch.nn.functional.{name}"
    if module.startswith(("torch._C", "torch.functional", "torch._tensor")):
        return f"torch.{name.removeprefix('_')}"
    return f"{module.replace('torch._ops.', 'torch.ops.')}.{name}"


def _accessor(access: str, attribute: str) -> Kind:
    if access == "__set__":
        return _SETTERS.get(attribute, Kind.QUIET)
    if attribute == "data":
        return Kind.DETACH
    if attribute == "grad":
        return Kind.LEAF  # handled apart: read of a non-leaf it is a finding of its own
    return Kind.VIEW if attribute in _GETTERS_THAT_VIEW else Kind.QUIET


def _kind(name: str) -> Kind:
    listed = _KIND_OF.get(name)
    if listed is not None:
        return listed
    if name == "__setitem__":
        return Kind.WRITE
    in_place = name.endswith("_") and not name.endswith("__") and name not in _NOT_WRITES
    dunder_in_place = name.startswith("__i") and name in _IN_PLACE_OPERATORS
    if in_place or dunder_in_place:
        return Kind.WRITE
    if name.startswith(("is_", "_get_")):
        return Kind.QUIET
    return Kind.COMPUTE


_IN_PLACE_OPERATORS = _names(
    "__iadd__ __isub__ __imul__ __idiv__ __itruediv__ __ifloordiv__ __imod__ __ipow__ __iand__"
    " __ior__ __ixor__ __ilshift__ __irshift__"
)
