"""Findings as SARIF 2.1.0, for code scanning services. Rules are the finding ids."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from nftui import __version__
from nftui.cli.i18n import tr
from nftui.model.findings import Evidence, Finding, Level

Json = dict[str, object]
_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_LEVELS = {Level.HIGH: "error", Level.MEDIUM: "warning", Level.LOW: "note", Level.INFO: "note"}


def sarif_log(findings: Sequence[Finding]) -> Json:
    """One run with its rules and results."""
    rules = {f.id: f for f in reversed(findings)}
    order = sorted(rules)
    driver = {"name": "nftui", "version": __version__, "rules": [_rule(rules[name]) for name in order]}
    results = [_result(f, order.index(f.id)) for f in findings]
    return {"$schema": _SCHEMA, "version": "2.1.0", "runs": [{"tool": {"driver": driver}, "results": results}]}


def _rule(finding: Finding) -> Json:
    return {
        "id": finding.id,
        "shortDescription": {"text": tr(finding.title)},
        "defaultConfiguration": {"level": _LEVELS[finding.level]},
    }


def _result(finding: Finding, index: int) -> Json:
    service = f"{finding.service}: " if finding.service else ""
    evidence = "; ".join(e.key if e.value is None else f"{e.key}={e.value}" for e in finding.evidence)
    text = f"{service}{tr(finding.title)}. {tr(finding.detail)}" + (f" ({evidence})" if evidence else "")
    return {
        "ruleId": finding.id,
        "ruleIndex": index,
        "level": _LEVELS[finding.level],
        "message": {"text": text},
        "locations": [_location(e) for e in finding.evidence if e.file],
    }


def _location(evidence: Evidence) -> Json:
    path = Path(str(evidence.file))
    physical: Json = {"artifactLocation": {"uri": path.as_uri() if path.is_absolute() else path.as_posix()}}
    if evidence.line:
        physical["region"] = {"startLine": evidence.line}
    return {"physicalLocation": physical}
