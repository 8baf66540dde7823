"""JUnit XML: a test case for each leaf, for services that collect test results.

There is no standard; this keeps to what Jenkins' and pytest's schema (`junit-10.xsd`) allow.
"""

from __future__ import annotations

from dataclasses import dataclass
from xml.etree import ElementTree as XML

from gradprobe.records.report import LOST, Finding, Leaf, Report
from gradprobe.render.machine.places import encodable
from gradprobe.render.plain import place, visible


@dataclass(frozen=True, slots=True)
class Junit:
    """Paths in messages are relative to `base` (None: the current directory)."""

    base: str | None = None

    def render(self, report: Report) -> str:
        """One suite; a leaf fails by an error that counts, or by a loss that none explains."""
        suite = XML.Element("testsuite", name="gradprobe")
        seconds = f"{report.cost.traced_seconds + report.cost.diagnose_seconds:.3f}"
        failed = 0
        if not report.leaves:
            case = _case(suite, "a leaf requires gradient", report, seconds)
            failed += _failure(case, report.verdict, _shown(report.headline), "")
        for leaf in report.leaves:
            case = _case(suite, f"gradient reaches {leaf.name}", report, seconds)
            if leaf.at is not None:
                case.set("file", _shown(leaf.at.file))
                case.set("line", str(max(leaf.at.line, 0)))
            failed += self._judge(case, leaf, report)
        for name, count in (("tests", len(suite)), ("failures", failed), ("errors", 0)):
            suite.set(name, str(count))
        suite.set("skipped", "0")
        suite.set("time", seconds)
        suites = XML.Element("testsuites")
        suites.append(suite)
        XML.indent(suites)
        return f'<?xml version="1.0" encoding="utf-8"?>\n{XML.tostring(suites, "unicode")}\n'

    def _judge(self, case: XML.Element, leaf: Leaf, report: Report) -> int:
        own = [f for f in report.findings if f.leaf == leaf.name]
        wrong = [f for f in own if f.severity == "error" and not f.allowed]
        unexplained = leaf.verdict in LOST and not any(f.severity == "error" for f in own)
        told = "\n\n".join(self._told(f) for f in own)
        if wrong or unexplained:
            message = _shown(wrong[0].message if wrong else report.headline)
            return _failure(case, _shown(wrong[0].code) if wrong else leaf.verdict, message, told)
        if told:
            XML.SubElement(case, "system-out").text = told
        return 0

    def _told(self, finding: Finding) -> str:
        how = "accepted" if finding.allowed else finding.severity
        lines = [f"{finding.code} {finding.name} ({how}, {finding.certainty})"]
        lines.append(f"{place(finding.cause, self.base)} in {finding.cause.function}")
        lines.append(f"    {finding.cause.source.strip()}")
        if finding.cause != finding.at:
            lines.append(f"lost at {place(finding.at, self.base)} in {finding.at.function}")
        lines += [finding.message, f"fix: {finding.fix}"]
        return "\n".join(map(_shown, lines))


def _case(suite: XML.Element, name: str, report: Report, seconds: str) -> XML.Element:
    root = report.root.name if report.root is not None else "no root"
    return XML.SubElement(
        suite, "testcase", classname=_shown(f"gradprobe.{root}"), name=_shown(name), time=seconds
    )


def _failure(case: XML.Element, kind: str, message: str, text: str) -> int:
    XML.SubElement(case, "failure", type=kind, message=message).text = text or message
    return 1


def _shown(text: str) -> str:
    """On one line, and without what XML 1.0 cannot hold."""
    return encodable(visible(text))
