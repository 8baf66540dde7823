"""The end of the page: the run and its environment, and what the trace could not see."""

from __future__ import annotations

import shlex

from gradprobe.records.report import Report
from gradprobe.render.html.markup import shown, tag
from gradprobe.render.plain import size

_MOST_UNSEEN = 200


def run(report: Report) -> str:
    """Facts in pairs, and sentences."""
    environment, counts, cost = report.environment, report.counts, report.cost
    facts = {
        "command": shlex.join(environment.command),
        "gradprobe": environment.gradprobe,
        "torch": environment.torch,
        "python": environment.python,
        "devices": ", ".join(environment.devices),
        "ops": _count(counts.ops),
        "autograd nodes": _count(counts.nodes),
        "edges": _count(counts.edges),
        "steps": _count(counts.steps),
        "denoiser calls": _count(counts.denoiser_calls),
        "backward passes": _count(len(report.passes) or None),
        "saved for backward": "" if counts.saved_bytes is None else size(counts.saved_bytes),
        "traced in": f"{cost.traced_seconds:.2f} s, {size(cost.record_bytes)} of records",
        "diagnosed in": f"{cost.diagnose_seconds:.2f} s",
    }
    pairs = "".join(
        tag("div", tag("dt", name) + tag("dd", shown(value)))
        for name, value in facts.items()
        if value
    )
    title = tag("h2", "Run")
    return unseen(report) + tag("section", title + tag("dl", pairs), id="run", tabindex="-1")


def unseen(report: Report) -> str:
    """What could not be seen, which no clean result is claimed for."""
    if report.unseen:
        items = [tag("li", shown(sentence)) for sentence in report.unseen[:_MOST_UNSEEN]]
        left = len(report.unseen) - _MOST_UNSEEN
        if left > 0:
            items.append(tag("li", f"and {left} more"))
        body = tag("ul", items)
    else:
        body = tag("p", "Nothing is known that the trace could not see.", class_="faint")
    count = tag("span", str(len(report.unseen)), class_="count")
    return tag("section", tag("h2", f"Not seen {count}") + body, id="unseen", tabindex="-1")


def _count(number: int | None) -> str:
    return "" if number is None else f"{number:,}".replace(",", "\u202f")
