"""Breaks that are meant, in real samplers: accepted once, and a new break beside them still counts.

Each program runs as a file of its own. What is accepted is told by comment, entry and baseline in
turn; the new break is one line more.
"""

from __future__ import annotations

import linecache
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from gradprobe.records.baseline import Baseline, read
from gradprobe.records.report import Finding, Report
from tests.adapters.absent import load, load_alone
from tests.traced import Traced, trace

# EDM-style guidance: the plain branch steers, and is no way for the gradient.
GUIDED = """
    torch.manual_seed(1)
    net = torch.nn.Conv2d(3, 3, 3, padding=1).requires_grad_(False)
    def denoiser(x, sigma):
        return x / (1 + sigma.view(-1, 1, 1, 1) ** 2) + net(x)
    def guided(x, sigma):
        conditional = denoiser(x, sigma)
        plain = denoiser(0.5 * x, sigma)
        NEW
        plain = plain.detach()  # gradprobe: allow GP101 -- as in EDM
        return plain + 2.0 * (conditional - plain)
    sigmas = sampling.get_sigmas_karras(3, 0.1, 2.0)
    z0 = torch.randn(1, 3, 8, 8, requires_grad=True)
    image = sampling.sample_heun.__wrapped__(guided, z0 * sigmas[0], sigmas, disable=True)
    loss = image.square().mean()
    loss.backward()
"""
# Truncated back-propagation (DRaFT-K): of six steps the last two are differentiated.
TRUNCATED = """
    from diffusers import DDIMScheduler
    torch.manual_seed(1)
    net = torch.nn.Conv2d(3, 3, 3, padding=1).requires_grad_(False)
    def run(x, adapter, scheduler):
        for number, t in enumerate(scheduler.timesteps):
            if number < len(scheduler.timesteps) - 2:
                x = x.detach()  # gradprobe: allow GP101 -- DRaFT-2
            noise = net(x) * (1 + adapter)
            NEW
            x = scheduler.step(noise, t, x).prev_sample
        return x
    scheduler = DDIMScheduler(clip_sample=False)
    scheduler.set_timesteps(6)
    adapter = torch.zeros(1, 3, 1, 1, requires_grad=True)
    loss = run(torch.randn(1, 3, 8, 8), adapter, scheduler).square().mean()
    loss.backward()
"""
# Improved DDPM's loss: the library detaches the predicted mean in the bound, as in the paper.
LIBRARY = """
    class Model(torch.nn.Module):
        channels, out_dim = 3, 6
        self_condition = random_or_learned_sinusoidal_cond = False
        def __init__(self):
            super().__init__()
            self.net = torch.nn.Conv2d(3, 6, 3, padding=1)
        def forward(self, x, t, x_self_cond=None):
            out = self.net(x) * (1 + t.view(-1, 1, 1, 1) / 10)
            NEW
            return out
    torch.manual_seed(1)
    diffusion = learned.LearnedGaussianDiffusion(
        Model().requires_grad_(False), image_size=8, timesteps=8
    )
    z0 = torch.randn(1, 3, 8, 8, requires_grad=True)
    loss = diffusion.p_losses(torch.rand(1, 3, 8, 8), torch.tensor([3]), noise=z0)
    loss.backward()
"""
COMMENT = "  # gradprobe: allow GP101 -- "


def run(folder: Path, text: str, new: str = "", **terms: Any) -> Traced:
    """The program, with one more line at its place for it (a comment for none)."""
    given: dict[str, Any] = {}
    if "sampling." in text:
        given["sampling"] = load_alone("k_diffusion.sampling")
    if "learned." in text:
        given["learned"] = load("denoising_diffusion_pytorch.learned_gaussian_diffusion")
    line = f"{new}  # <- new" if new else "# nothing new"
    file = "program.py"
    linecache.clearcache()  # of the file as it was
    return trace(folder, text.replace("NEW", line), given=given, file=file, terms=terms)


def bare(text: str) -> str:
    """Without its comments to gradprobe."""
    lines = [line.partition(COMMENT)[0] for line in text.splitlines()]
    return "\n".join(lines)


def counting(report: Report) -> list[Finding]:
    return [f for f in report.findings if f.severity != "note" and not f.allowed]


def is_accepted(report: Report, by: str, reason: str | None = None) -> None:
    """One break, accepted; nothing counts; nothing is stale; and the verdict is as it was."""
    assert counting(report) == []
    [meant] = [finding for finding in report.findings if finding.allowed]
    assert (meant.code, meant.severity, meant.allowed_by, meant.reason) == (
        "GP101",
        "warning",
        by,
        reason,
    )
    assert (report.verdict, report.unseen) == ("partial", ())
    assert f"GP101 detached (allowed) at {Path(meant.at.file).name}:" in report.headline


def is_new_first(traced: Traced, code: str) -> None:
    """What was added is the first finding, and the only one that counts; the other stays."""
    [first] = counting(traced.report)
    assert traced.first == first
    assert first.code == code
    assert traced.is_at(first.at, "new")
    assert f"; {code} {first.name} at program.py:" in traced.report.headline
    assert [f.code for f in traced.report.findings if f.allowed] == ["GP101"]


# Beside the guidance (`conditional` is on the way that counts), and inside the two last steps.
NEW_LINES = {
    "guided": (GUIDED, "as in EDM", "conditional = conditional.detach()", "GP101"),
    "truncated": (TRUNCATED, "DRaFT-2", "noise = noise + (5 * noise).round()", "GP301"),
}


@pytest.mark.parametrize("name", NEW_LINES)
def test_a_comment_accepts_the_break_on_its_line(tmp_path: Path, name: str) -> None:
    text, reason, new, code = NEW_LINES[name]
    is_accepted(run(tmp_path, text).report, "comment", reason)
    is_new_first(run(tmp_path, text, new), code)


@pytest.mark.parametrize("name", NEW_LINES)
def test_an_entry_accepts_the_break_in_its_function(tmp_path: Path, name: str) -> None:
    text, _, new, code = NEW_LINES[name]
    function = "guided" if name == "guided" else "run"
    entry = f"GP101:program.py:{function}"
    is_accepted(run(tmp_path, bare(text), allow=entry).report, "entry")
    if code != "GP101":  # an entry covers all of its code in the function
        is_new_first(run(tmp_path, bare(text), new, allow=entry), code)


def known(folder: Path, text: str, **terms: Any) -> Baseline:
    """A baseline of all that the program has."""
    path = folder / "base.json"
    new = Baseline(str(path), new=True)
    report = run(folder, text, baseline=new, **terms).report
    new.of([finding for finding in report.findings if not finding.allowed]).write()
    return read(path)


@pytest.mark.parametrize("name", NEW_LINES)
def test_a_baseline_accepts_what_was_there(tmp_path: Path, name: str) -> None:
    text, _, new, code = NEW_LINES[name]
    base = known(tmp_path, bare(text))
    is_accepted(run(tmp_path, bare(text), baseline=base).report, "baseline")
    moved = "\n    # one line more" + bare(text)
    is_accepted(run(tmp_path, moved, baseline=str(tmp_path / "base.json")).report, "baseline")
    is_new_first(run(tmp_path, bare(text), new, baseline=base), code)


def test_a_library_s_own_break_is_accepted_by_its_place(tmp_path: Path) -> None:
    [found] = counting(run(tmp_path, LIBRARY).report)
    assert found.at.source.strip() == "detached_model_mean = model_mean.detach()"
    file, function = "learned_gaussian_diffusion.py", "LearnedGaussianDiffusion.p_losses"
    entry = f"GP101:denoising_diffusion_pytorch/{file}:{function}"
    is_accepted(run(tmp_path, LIBRARY, allow=entry).report, "entry")
    is_new_first(run(tmp_path, LIBRARY, "out = out + (9 * out).round()", allow=entry), "GP301")

    base = known(tmp_path, LIBRARY)
    [cause] = [entry.cause for entry in base.entries if entry.code == "GP101"]
    assert cause.file == f"denoising_diffusion_pytorch/{file}"
    is_accepted(run(tmp_path, LIBRARY, baseline=base).report, "baseline")
    is_new_first(run(tmp_path, LIBRARY, "out = out + (9 * out).round()", baseline=base), "GP301")


def test_one_more_line_that_says_the_same_is_not_accepted(tmp_path: Path) -> None:
    base = known(tmp_path, bare(GUIDED))
    twice = bare(GUIDED).replace(
        "        plain = plain.detach()",
        "        conditional = conditional * 1.0\n        plain = plain.detach()",
    )
    is_accepted(run(tmp_path, twice, baseline=base).report, "baseline")
    same = bare(GUIDED).replace("return plain +", "plain = plain.detach()\n        return plain +")
    hidden = run(tmp_path, same, baseline=base)  # behind the first on the same way: loses nothing
    is_accepted(hidden.report, "baseline")
    both = bare(GUIDED).replace(
        "        plain = denoiser(0.5 * x, sigma)",
        "        plain = conditional\n"
        "        plain = plain.detach()\n"
        "        conditional = 0.5 * conditional + 0.5 * plain\n"
        "        plain = denoiser(0.5 * x, sigma)",
    )
    report = run(tmp_path, both, baseline=base).report
    assert [f.code for f in counting(report)] == ["GP101", "GP101"]
    assert report.unseen == (
        f"baseline {tmp_path / 'base.json'}: GP101 in program.py:guided was there 1 times and is "
        "there 2 times; which is new cannot be told",
    )


def test_what_was_accepted_as_a_warning_is_not_as_an_error(tmp_path: Path) -> None:
    base = known(tmp_path, bare(GUIDED))
    alone = bare(GUIDED).replace("return plain + 2.0 * (conditional - plain)", "return plain")
    alone = alone.replace(
        "sample_heun.__wrapped__(guided, z0 * sigmas[0], sigmas, disable=True)",
        "to_d(guided(z0, sigmas[:1]), sigmas[0], guided(z0, sigmas[:1]))",
    )
    report = run(tmp_path, alone, baseline=base).report
    [found] = counting(report)
    assert (report.verdict, found.code, found.severity) == ("broken", "GP101", "error")
    assert report.unseen == (
        f"baseline {tmp_path / 'base.json'}: GP101 in program.py:guided was accepted as a warning, "
        "and is worse now",
    )


def test_what_is_no_longer_there_is_told(tmp_path: Path) -> None:
    base = known(tmp_path, bare(GUIDED))
    healed = bare(GUIDED).replace("plain = plain.detach()", "plain = 1.0 * plain")
    report = run(tmp_path, healed, baseline=base, allow="GP107").report
    assert report.verdict == "flows"
    assert report.unseen == (
        "allow entry GP107: no such finding in this run",
        f"baseline {base.path}: 1 of 1 matches no finding of this run (GP101 in program.py:guided);"
        " if fixed, write it again (--write-baseline)",
    )
    commented = GUIDED.replace("plain.detach()", "1.0 * plain")
    traced = run(tmp_path, commented)
    [line] = [n for n, text in enumerate(traced.text.splitlines(), 1) if "gradprobe:" in text]
    assert traced.report.unseen == (
        f"{traced.path}:{line}: the comment allows GP101: no such finding in this run",
    )


def test_what_another_break_hides_is_not_stale(tmp_path: Path) -> None:
    base = known(tmp_path, bare(GUIDED))
    new = "conditional = plain = (conditional + plain).detach()"
    for text, terms in (
        (GUIDED, {}),
        (bare(GUIDED), {"allow": "GP101:program.py:absent"}),
        (bare(GUIDED), {"baseline": base}),
    ):
        report = run(tmp_path, text, new, **terms).report
        assert [f.at.source.strip()[:11] for f in counting(report)] == ["conditional"]
        said = [sentence for sentence in report.unseen if "absent" not in sentence]
        assert said == []


BY_CAUSE = """
    sigmas = sampling.get_sigmas_karras(3, 0.1, 2.0)
    net = torch.nn.Conv2d(3, 3, 3, padding=1).requires_grad_(False)
    @torch.no_grad()DECORATOR
    def plain(x):
        return net(x)
    def model(x, sigma):
        with torch.no_grad():WITH
            rough = net(x)
            rough = 0.5 * rough
        return (  FIRST
            0.1 * x
            + 0.1 * rough
            + 0.1 * plain(x)
            + 0.1 * x.detach(MIDDLE
            )
            + 0.1 * x.data
        )LAST
    z0 = torch.randn(1, 3, 8, 8, requires_grad=True)
    image = sampling.sample_euler.__wrapped__(model, z0 * sigmas[0], sigmas, disable=True)
    loss = image.square().mean()
    loss.backward()
"""
PLACES = ("DECORATOR", "WITH", "FIRST", "MIDDLE", "LAST")


@pytest.mark.parametrize(
    ("places", "left"),
    [
        ((), ["with", "@torch", "x.detach", "x.data"]),
        (("DECORATOR",), ["with", "x.detach", "x.data"]),
        (("WITH",), ["@torch", "x.detach", "x.data"]),
        (("MIDDLE",), ["with", "@torch", "x.data"]),
        (("FIRST",), ["with", "@torch"]),
        (("LAST",), ["with", "@torch"]),
        (("DECORATOR", "WITH", "LAST"), []),
    ],
)
def test_the_lines_where_a_comment_may_stand(
    tmp_path: Path, places: tuple[str, ...], left: list[str]
) -> None:
    text = BY_CAUSE
    for place in PLACES:
        code = "GP102" if place in ("DECORATOR", "WITH") else "GP101"
        comment = f"  # gradprobe: allow {code}" if place in places else ""
        text = text.replace(place, comment)
    report = run(tmp_path, text).report
    found = [f.cause.source[f.cause.col :] for f in counting(report)]
    assert len(found) == len(left)
    assert all(any(text.startswith(start) for text in found) for start in left)
    assert report.unseen == ()


def test_a_library_s_own_comment_counts_and_is_not_called_stale(tmp_path: Path) -> None:
    folder = tmp_path / "site-packages" / "library"
    folder.mkdir(parents=True)
    is_accepted(run(folder, GUIDED).report, "comment", "as in EDM")
    healed = GUIDED.replace("plain.detach()", "1.0 * plain")
    assert run(folder, healed).report.unseen == ()


# More than one backward: what is accepted in one must not hide what is new in another.
TWO_PASSES = """
    sigmas = sampling.get_sigmas_karras(3, 0.1, 2.0)
    net = torch.nn.Conv2d(3, 3, 3, padding=1).requires_grad_(False)
    def denoiser(x, sigma):
        return x / (1 + sigma.view(-1, 1, 1, 1) ** 2) + net(x)
    z0 = torch.randn(1, 3, 8, 8, requires_grad=True)
    def sample(model):
        return sampling.sample_euler.__wrapped__(model, z0 * sigmas[0], sigmas, disable=True)
    def truncated(x, sigma):
        return denoiser(x.detach(), sigma)  # gradprobe: allow GP101 -- one step only
    def plain(x, sigma):
        out = denoiser(x, sigma)
        NEW
        return out
    sample(truncated).square().mean().backward()
    sample(plain).square().mean().backward()
"""


def test_what_is_accepted_in_one_backward_hides_nothing_in_another(tmp_path: Path) -> None:
    is_accepted(run(tmp_path, TWO_PASSES).report, "comment", "one step only")
    new = "out = 0.5 * out + 0.5 * out.detach()"
    traced = run(tmp_path, TWO_PASSES, new)
    [first] = counting(traced.report)
    assert traced.first == first
    assert traced.is_at(first.at, "new")
    assert "; in another pass GP101 detached at program.py:" in traced.report.headline
    base = known(tmp_path, TWO_PASSES.replace("NEW", new))
    assert counting(run(tmp_path, TWO_PASSES.replace("NEW", new), baseline=base).report) == []


def test_what_is_not_asked_for_is_counted_and_told(tmp_path: Path) -> None:
    new = "conditional = conditional + (9 * conditional).round()"
    whole = run(tmp_path, bare(GUIDED), new).report
    part = run(tmp_path, bare(GUIDED), new, ignore="GP101", allow="GP101").report
    assert [f.code for f in counting(part)] == ["GP301"]
    assert part.verdict == whole.verdict == "partial"
    assert part.leaves == whole.leaves
    assert part.left_out[0].code == "GP101"
    assert part.unseen == ("1 finding was left out, as asked (select, ignore): 1 warning GP101",)
    none = run(tmp_path, bare(GUIDED), new, select=["GP2", "GP4"]).report
    assert none.findings == ()
    assert none.verdict == "partial"
    assert none.headline.endswith("; its findings are left out (select, ignore)")
    assert none.worst() is None
    [sentence] = none.unseen
    assert "1 warning GP101, 1 warning GP301" in sentence
    assert none.picture.arrows  # a cut is drawn, whatever is reported
    labels: Mapping[str, object] = {arrow.label or "": arrow for arrow in none.picture.arrows}
    assert any("GP101" in label for label in labels)
