"""SARIF 2.1.0, which code scanning services and editors read.

Format: Static Analysis Results Interchange Format (SARIF) Version 2.1.0, OASIS Standard, 2020.
"""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gradprobe.records.report import Finding, Report
from gradprobe.records.source import Frame
from gradprobe.render.machine.places import below, encodable, root_of, sentence, span, uri

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_ROOT = "SRCROOT"


@dataclass(frozen=True, slots=True)
class Sarif:
    """Files below `base` (None: the current directory) are written relative to it."""

    base: str | None = None
    indent: int | None = 2

    def render(self, report: Report) -> str:
        """One run: a result for each finding, accepted ones as suppressed, and its rules."""
        root = root_of(self.base)
        codes = sorted({finding.code for finding in report.findings})
        results = [_result(finding, codes, root) for finding in report.findings]
        run = {
            "tool": {"driver": _driver(report, codes)},
            "invocations": [
                {
                    "commandLine": encodable(shlex.join(report.environment.command)),
                    "executionSuccessful": report.verdict != "error",
                    "toolExecutionNotifications": [
                        {"level": "note", "message": {"text": encodable(f"not seen: {sentence}")}}
                        for sentence in report.unseen
                    ],
                }
            ],
            "originalUriBaseIds": {_ROOT: {"uri": uri(root).rstrip("/") + "/"}},
            "columnKind": "unicodeCodePoints",
            "results": results,
            "properties": {"verdict": report.verdict, "headline": encodable(report.headline)},
        }
        log = {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}
        return json.dumps(log, indent=self.indent) + "\n"


def _driver(report: Report, codes: Sequence[str]) -> dict[str, Any]:
    names = {finding.code: finding.name for finding in report.findings}
    return {
        "name": "gradprobe",
        "version": report.environment.gradprobe,
        "rules": [
            {
                "id": encodable(code),
                "name": encodable(names[code]),
                "shortDescription": {"text": encodable(names[code].replace("-", " ") or code)},
                "help": {"text": encodable(f"gradprobe explain {code}")},
            }
            for code in codes
        ],
    }


def _result(finding: Finding, codes: Sequence[str], root: str) -> dict[str, Any]:
    told = sentence(finding.message)
    result: dict[str, Any] = {
        "ruleId": encodable(finding.code),
        "ruleIndex": codes.index(finding.code),
        "level": finding.severity,
        "message": {"text": encodable(f"{told}\nFix: {sentence(finding.fix)}")},
        "locations": [_location(finding.cause, root)],
        "partialFingerprints": {"gradprobe/v1": _fingerprint(finding, root)},
        "properties": _properties(finding),
    }
    others = [(word, at) for word, at in _others(finding) if at != finding.cause]
    if others:
        result["relatedLocations"] = [
            {**_location(at, root, word), "id": n} for n, (word, at) in enumerate(others, 1)
        ]
    if finding.cause != finding.at:
        way = [_location(finding.cause, root, "opened here"), _location(finding.at, root, "lost")]
        steps = [{"location": location} for location in way]
        result["codeFlows"] = [{"threadFlows": [{"locations": steps}]}]
    if finding.allowed:
        kind = "inSource" if finding.allowed_by == "comment" else "external"
        accepted: dict[str, str] = {"kind": kind}
        if finding.reason:
            accepted["justification"] = encodable(finding.reason)
        result["suppressions"] = [accepted]
    return result


def _others(finding: Finding) -> list[tuple[str, Frame]]:
    lost = [("lost here", finding.at)]
    if finding.opened_by is not None:
        lost.append(("saved by", finding.opened_by))  # of a wrong gradient; else it is the cause
    return lost + [(related.word, related.at) for related in finding.related]


def _properties(finding: Finding) -> Mapping[str, Any]:
    found = {
        "leaf": encodable(finding.leaf),
        "certainty": finding.certainty,
        "stage": None if finding.stage is None else encodable(finding.stage),
        "step": finding.step,
        "count": finding.count,
        "verified": finding.verified,
    }
    return {key: value for key, value in found.items() if value is not None}


def _location(frame: Frame, root: str, message: str | None = None) -> dict[str, Any]:
    inside = below(frame.file, root)
    artifact = {"uri": uri(frame.file)} if inside is None else {"uri": uri(inside)}
    if inside is not None:
        artifact["uriBaseId"] = _ROOT
    at = span(frame)
    location: dict[str, Any] = {
        "physicalLocation": {
            "artifactLocation": artifact,
            "region": {
                "startLine": at.line,
                "startColumn": at.col,
                "endLine": at.end_line,
                "endColumn": at.end_col,
                "snippet": {"text": encodable(frame.source)},
            },
        },
        "logicalLocations": [{"fullyQualifiedName": encodable(frame.function)}],
    }
    if message is not None:
        location["message"] = {"text": encodable(message)}
    return location


def _fingerprint(finding: Finding, root: str) -> str:
    """The same for the same break in another run, also where lines above it came or went."""
    at = finding.cause
    file = below(at.file, root) or at.file.rpartition("site-packages/")[2]
    parts = (finding.code, finding.leaf, file, at.function, at.source.strip())
    return hashlib.sha256("\0".join(map(encodable, parts)).encode()).hexdigest()[:32]
