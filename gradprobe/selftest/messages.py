"""What the selftest says, one table per language."""

from __future__ import annotations

from dataclasses import dataclass

from gradprobe.errors import UsageError


@dataclass(frozen=True, slots=True)
class Messages:
    """Every sentence of the selftest; names in braces are filled in by `checks`."""

    title: str
    settings: str
    step_noise_off: str
    step_noise_on: str
    check_names: tuple[str, str, str, str, str]
    ok: str
    failed: str
    tensor: str
    no_anchor: str
    loss: str
    backward_raised: str
    gradient: str
    gradient_missing: str
    gradient_zero: str
    gradient_nonfinite: str
    moved: str
    not_moved: str
    noise_scale: str
    share: str
    no_share: str
    passed: str
    broken: str
    start_only: str
    unexplained: str


ENGLISH = Messages(
    title="gradprobe selftest: does the gradient of the output reach z0?",
    settings="RES sampler, {steps} Euler steps, sigma {high:g} to {low:g}, rho {rho:g}; {mode}",
    step_noise_off="step noise off",
    step_noise_on="step noise from z0",
    check_names=("forward", "z0 anchor", "loss and backward", "gradient at z0", "Adam step"),
    ok="ok",
    failed="FAILED",
    tensor="shape {shape}, requires_grad {requires_grad}",
    no_anchor="not set: the sampler did not use z0",
    loss="loss {loss:.6f}, ascent on -loss",
    backward_raised="torch raised: {error}",
    gradient="|grad| mean {mean:.3e}, max {max:.3e}, min {min:.3e}",
    gradient_missing="z0.grad is None",
    gradient_zero="z0.grad is zero everywhere",
    gradient_nonfinite="z0.grad holds NaN or Inf",
    moved="z0 moved by {moved:.3e} (mean absolute difference)",
    not_moved="z0 did not move",
    noise_scale="step noise is scaled by {scales} (with s_churn 0: {without})",
    share="through the step noise alone z0 gets |grad| mean {mean:.3e}",
    no_share="through the step noise alone z0 gets no gradient",
    passed="PASSED: the gradient reaches z0.",
    broken="FAILED: the gradient does not reach z0 as it should. The diagnosis:",
    start_only=(
        "FAILED: the gradient reaches z0 through the start state, and nothing comes\n"
        "through the step noise. The diagnosis, with z0 kept out of the start state:"
    ),
    unexplained="FAILED: a check failed and the probe found no break. Please report this.",
)

CHINESE = Messages(
    title="gradprobe 自检：输出的梯度能否到达 z0？",
    settings="RES 采样器，{steps} 步 Euler，sigma 从 {high:g} 到 {low:g}，rho {rho:g}；{mode}",
    step_noise_off="每步噪声关闭",
    step_noise_on="每步噪声由 z0 导出",
    check_names=("前向传播", "z0 锚点", "损失与反向传播", "z0 的梯度", "Adam 更新"),
    ok="通过",
    failed="失败",
    tensor="形状 {shape}，requires_grad {requires_grad}",
    no_anchor="未设置：采样器没有使用 z0",
    loss="损失 {loss:.6f}，对 -loss 做梯度上升",
    backward_raised="torch 报错：{error}",
    gradient="|grad| 均值 {mean:.3e}，最大 {max:.3e}，最小 {min:.3e}",
    gradient_missing="z0.grad 为 None",
    gradient_zero="z0.grad 处处为零",
    gradient_nonfinite="z0.grad 含有 NaN 或 Inf",
    moved="z0 移动了 {moved:.3e}（平均绝对差）",
    not_moved="z0 没有移动",
    noise_scale="每步噪声的系数为 {scales}（若 s_churn 为 0，则为 {without}）",
    share="仅经由每步噪声，z0 得到的 |grad| 均值为 {mean:.3e}",
    no_share="仅经由每步噪声，z0 得不到梯度",
    passed="测试通过：梯度到达了 z0。",
    broken="测试失败：梯度没有如期到达 z0。诊断如下：",
    start_only=(
        "测试失败：梯度经由初始状态到达了 z0，但没有任何梯度经由每步噪声传回。\n"
        "把 z0 排除在初始状态之外后，诊断如下："
    ),
    unexplained="测试失败：有检查未通过，但探针没有找到断点。请报告此问题。",
)

LANGUAGES = {"en": ENGLISH, "zh": CHINESE}


def messages_in(lang: str) -> Messages:
    """The table of `lang`. Raises `UsageError` for a language that there is no table for."""
    if lang not in LANGUAGES:
        raise UsageError(f"unknown language {lang!r}: choose one of {', '.join(LANGUAGES)}")
    return LANGUAGES[lang]
