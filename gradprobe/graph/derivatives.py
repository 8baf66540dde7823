"""What the derivative of each op needs: data, by the op's name without underscores.

One word for each tensor argument, in order: what the gradient of that argument is computed from.

    2       the third tensor argument; `r` the result; `.` nothing of either
    ~2      only on which side of a threshold its elements lie, or which of them is the largest
    +2      not needed, and kept all the same

So `mul` is "1 0", `exp` is "r" and `conv2d` "1+0 0+1 .+01". Past the last word nothing is needed;
`name:2` is the op with two tensor arguments, where their number matters.
"""

from __future__ import annotations

from typing import Final


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_TABLE: Final = {
    "r": "exp exp2 expm1 tanh sigmoid sqrt rsqrt reciprocal tan softmax log_softmax softmin inv",
    "~r": "relu",
    "r+0": "rpow det",
    "0": "sin cos sinh cosh asin acos atan arcsin arccos arctan asinh acosh atanh log log2 log10 "
    "log1p square erf erfc erfinv sinc digamma lgamma logit i0 var silu gelu softplus mish selu "
    "celu elu hardswish softsign normalize glu matrix_exp instance_norm",
    "~0": "abs absolute clamp clip clamp_min clamp_max leaky_relu relu6 hardtanh hardsigmoid "
    "log_sigmoid hardshrink softshrink nan_to_num angle nanmean",
    "0r": "prod std norm vector_norm logsumexp cumprod logcumsumexp",
    "~0~r": "amax amin max min median",
    # Of an input they keep the shape alone.
    ".+0": "avg_pool1d avg_pool2d avg_pool3d max_pool1d max_pool2d max_pool3d adaptive_avg_pool2d "
    "rfft",
    "1 0": "mul multiply dot vdot inner outer ger mv mm bmm matmul rmatmul einsum tensordot cross",
    "1 01": "div divide true_divide kl_div",
    "01 01": "atan2 arctan2 logaddexp logaddexp2 mse_loss smooth_l1_loss huber_loss",
    "~0~1 ~0~1": "maximum minimum max:2 min:2 fmax fmin",
    "01r 01r": "dist cdist",
    "01 0+1": "binary_cross_entropy binary_cross_entropy_with_logits",
    ". 2 1": "addmm addmv addr addbmm baddbmm addcmul",
    "1+0 0+1 .+01": "conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d",
    "1 0 .": "linear",
    "12 02 01": "bilinear",
    ".+2 2 12": "addcdiv",
    "2 2 01+2": "lerp",
    "012r 012r 01+2r": "scaled_dot_product_attention",
    "01+2 0+12 .+012": "layer_norm",
    "01 0+1 .+01": "group_norm",
    "01": "rms_norm",
    "03+12 . . 0+123 .+0123": "batch_norm",
    "0+12": "batch_norm:3",
    "01+r 0r+1": "pow:2 float_power:2",
    "0r 1r": "hypot",
    "1+0 01": "xlogy grid_sample",
    "0r .+r": "copysign",
    "r+0 .+0r": "solve",
    "0 1": "cosine_similarity",
    "1": "cross_entropy getitem index_select masked_fill",
    "1 . 1": "setitem:3",
    "1+0": "gather take masked_select",
    "1~0 0+1": "prelu",
    ". 0 0": "where",
    ". . 1": "scatter_add",
    ".+1 . 1": "scatter",
    ". . 1+2": "index_add",
    ". 0": "embedding",
    # Tensors of their own making are kept, none that the program sees.
    ".": "mul:1 multiply:1 div:1 divide:1 rdiv tanhshrink l1_loss sort topk dropout "
    "feature_dropout alpha_dropout",
}
DERIVATIVES: Final = {
    name: tuple(words.split()) for words, names in _TABLE.items() for name in names.split()
} | {"pow": ("0",), "float_power": ("0",)}

# Nothing at all is kept. Views and casts are known by their kind.
KEEP_NOTHING: Final = _names(
    "add sub subtract rsub neg negative positive sum mean cat concat concatenate stack hstack "
    "vstack clone copy repeat repeat_interleave tile roll flip rot90 pad tril triu diag trace "
    "cumsum diff trapezoid interpolate upsample unfold pixel_shuffle pixel_unshuffle round floor "
    "ceil trunc frac fix sign zero fill real imag fftn ifftn fft2 ifft2 fft ifft fftshift "
    "ifftshift fmod:1 remainder:1 lerp:2 deg2rad rad2deg"
)
# What they keep is a view that they made for themselves: `x.data = y` leaves it as it was.
THROUGH_VIEWS: Final = _names(
    "linear matmul rmatmul inner outer ger einsum tensordot bilinear instance_norm prelu"
)
