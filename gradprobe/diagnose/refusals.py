"""What torch says when it raises for a reason of autograd's, in the words of a user: data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from gradprobe.records.backward import Pass


@dataclass(frozen=True, slots=True)
class Refusal:
    """A piece of torch's message, what it means, and what to do. Empty where a rule says it."""

    said: str
    means: str = ""
    fix: str = ""


NON_LEAF: Final = "can't optimize a non-leaf Tensor"
NOT_ASKED: Final = "One of the differentiated Tensors does not require grad"

# The first whose piece occurs in a message speaks for it.
REFUSALS: Final[tuple[Refusal, ...]] = (
    Refusal(
        "grad can be implicitly created only for scalar outputs",
        "backward starts from one number, and this tensor has several elements",
        "reduce it first (.sum() or .mean()), or pass gradient= with a tensor of its shape",
    ),
    Refusal(
        "grad can be implicitly created only for real scalar outputs",
        "backward starts from one real number, and this one is complex",
        "take a real number of it first (.abs(), .real), or pass gradient=",
    ),
    Refusal(
        "Mismatch in shape: grad_output",
        "the gradient that was passed has another shape than the tensor that it is for",
        "pass one of the tensor's own shape (torch.ones_like(x)), or none for a single number",
    ),
    Refusal(
        "returned an incorrect number of gradients",
        "the backward of a custom autograd.Function must return one gradient for each argument of "
        "its forward",
        "return as many values as forward has arguments, None for those that need no gradient",
    ),
    Refusal(
        "returned an invalid gradient at index",
        "the backward of a custom autograd.Function returned a gradient that does not fit the "
        "argument it is for",
        "return it in the argument's own shape, dtype and device; sum it over what was broadcast",
    ),
    Refusal(
        "expected Variable or None",
        "the backward of a custom autograd.Function returned something that is no tensor",
        "return a tensor for each argument of forward, or None",
    ),
    Refusal(
        "marked with @once_differentiable",
        "a second derivative was asked for, and a custom autograd.Function on the way has none",
        "leave out create_graph=True, or write its backward in differentiable torch functions and "
        "without @once_differentiable",
    ),
    Refusal(
        "is the output of a function that returns multiple views",
        "one of the pieces of a split, chunk or unbind is written in place, and autograd could not "
        "tell the others",
        "make a new tensor (a = a * 2 for a *= 2), or take the piece by an index (x[:, :n])",
    ),
    Refusal(
        "A view was created in no_grad mode",
        "a view that was taken with gradient recording off is written in place with it on",
        "take the view outside of no_grad, write under no_grad too, or make a new tensor of it",
    ),
    Refusal(
        "A view was created in inference mode",
        "a view that was taken in inference mode is written in place outside of it",
        "take the view outside of inference mode, or make a new tensor of it (.clone())",
    ),
    Refusal(
        "Can't detach views in-place",
        "detach_() was called on a view: it would cut its base off too",
        "use .detach(), which leaves this tensor as it is",
    ),
    Refusal(
        "you can only change requires_grad flags of leaf variables",
        "this tensor is a result of others, and requires grad because they do",
        "use .detach() for a copy that requires no grad, or set the flag on the leaf itself",
    ),
    Refusal(
        "can require gradients",
        "this tensor holds integers or booleans, which have no gradient",
        "make it floating first: .float().requires_grad_()",
    ),
    Refusal(
        "support the deepcopy protocol",
        "copy.deepcopy met a tensor that is a result of others: its graph cannot be copied",
        "copy before the forward, or copy the values alone (.detach().clone())",
    ),
    Refusal(
        "cannot register a hook on a tensor that doesn't require",
        "no gradient will ever come to this tensor, so that a hook would never run",
        "find where its gradient is cut, or call requires_grad_() on the leaf before this",
    ),
    Refusal(
        "post accumulate grad hooks cannot be registered on non-leaf tensors",
        "this tensor is a result of others: no .grad is accumulated for it",
        "use register_hook here, or register on the leaf itself",
    ),
    Refusal(
        "can't retain_grad on Tensor",
        "no gradient will ever come to this tensor, so that there is none to keep",
        "find where its gradient is cut, or call requires_grad_() on the leaf before this",
    ),
    Refusal(
        "functions with out=... arguments don't support automatic differentiation",
        "out= writes over a tensor, and autograd does not follow such a write",
        "assign the result: x = torch.mul(a, b) for torch.mul(a, b, out=x)",
    ),
    Refusal(
        "cannot resize variables that require grad",
        "a tensor that autograd follows cannot change its size in place",
        "take a view or a slice of it (x[:n], x.reshape(...)), or resize under no_grad",
    ),
    Refusal(
        "attempting to assign a gradient",
        "what is assigned to .grad does not fit the tensor",
        "assign a gradient of the tensor's own shape, dtype and device",
    ),
    Refusal(
        "has changed the size of value",
        "a gradient hook returned a gradient of another shape than it was given",
        "return one of the same shape, or None to leave it as it is",
    ),
    Refusal(
        "has changed the type of value",
        "a gradient hook returned a gradient of another dtype or device than it was given",
        "return one of the same dtype and device, or None to leave it as it is",
    ),
    Refusal(
        "torch.utils.checkpoint is incompatible with .grad()",
        "a reentrant checkpoint works with a plain backward() alone",
        "pass use_reentrant=False to the checkpoint, or call backward() and read .grad",
    ),
    Refusal(
        "torch.utils.checkpoint: A different number of tensors was saved",
        "a checkpointed function did not do the same when backward ran it again",
        "make it depend on its arguments alone: no counters, no other modes, no new random numbers",
    ),
    Refusal(
        "torch.utils.checkpoint: Recomputed values for the following tensors have different",
        "a checkpointed function did not compute the same when backward ran it again",
        "make it depend on its arguments alone: no counters, no other modes, no new random numbers",
    ),
    Refusal(
        "the derivative for",
        "torch has no derivative of this op for that argument",
        "use another op for it, or give it a backward (torch.library.register_autograd)",
    ),
    # These have rules of their own.
    Refusal("no autograd formula was registered"),
    Refusal(NON_LEAF),
    Refusal(NOT_ASKED),
    Refusal("does not require grad"),
    Refusal("that requires grad"),
    Refusal("not have been used in the graph"),
    Refusal("through the graph a second time"),
    Refusal("modified by an inplace operation"),
    Refusal("Inference tensors cannot be saved"),
    Refusal("Inplace update to inference tensor"),
)


def refusal_of(message: str) -> Refusal | None:
    """Which of them a message is; None of what is no reason of autograd's, as far as is known."""
    return next((refusal for refusal in REFUSALS if refusal.said in message), None)


def stopped_by_program(passed: Pass) -> bool:
    """Whether a pass ended because code of the program's own raised in it, or ran out of memory."""
    return passed.raised is not None and passed.foreign and refusal_of(passed.raised) is None
