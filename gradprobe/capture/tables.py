"""Frozen copies of the journal's columns."""

from __future__ import annotations

from array import array

from gradprobe.capture.journal import Journal
from gradprobe.records.op import OpTable
from gradprobe.records.tensor import Rewrites, ValueTable


def ops_of(journal: Journal) -> OpTable:
    """Every op so far."""
    return OpTable(
        callees=tuple(journal.callees),
        head=array("q", journal.head),
        site=array("i", journal.site),
        sequence=array("q", journal.sequence),
        inputs=array("i", journal.inputs),
        inputs_end=array("i", journal.inputs_end),
        outputs=array("i", journal.outputs),
        outputs_end=array("i", journal.outputs_end),
    )


def values_of(journal: Journal) -> ValueTable:
    """Every value so far."""
    return ValueTable(
        metas=tuple(journal.metas),
        meta=array("i", journal.meta),
        flags=bytes(journal.flags),
        at=array("i", journal.made_at),
    )


def rewrites_of(journal: Journal) -> Rewrites:
    """Every write so far."""
    columns = journal.rewrites
    return Rewrites(value=columns[0::3], before=columns[1::3], version=columns[2::3])
