"""Leaves by name: those the program made, those the user named, and a root the user named."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace

from gradprobe.capture.leaf_watch import WatchedLeaf
from gradprobe.capture.naming import Naming
from gradprobe.capture.recorder import Recorder
from gradprobe.errors import UnknownName, UsageError
from gradprobe.records.sampling import LeafMark, Where
from gradprobe.records.source import Frame
from gradprobe.records.tensor import PARAMETER, REQUIRES_GRAD


class LeafNames:
    """Finds the variables behind values."""

    def __init__(self, recorder: Recorder, frames: Sequence[Frame | None], naming: Naming) -> None:
        self.recorder = recorder
        self.frames = frames
        self.naming = naming

    def leaves(self) -> tuple[LeafMark, ...]:
        """The leaves, only those that the user named if names were given.

        Raises `UnknownName` for a name that no variable has, `UsageError` for one that several
        variables have.
        """
        found = [self.mark(leaf) for leaf in self.recorder.leaves.leaves]
        wanted = self.recorder.leaf_names
        if not wanted:
            kept = [m for m in found if not m.in_module and (m.requires_grad or m.frozen_at)]
            kept += self._asked()
            return tuple(kept) or tuple(self._inferred())
        variables = None
        chosen: list[LeafMark] = []
        for name in wanted:
            matching = [m for m in found if _matches(name, m.name, m.at, m.function)]
            if not matching:
                if variables is None:
                    variables = self.variables()
                matching = [v for v in variables if _matches(name, v.name, v.at, v.function)]
                matching = matching or self._bound(name)
            if not matching:
                known = {m.name for m in (*found, *(variables or self.variables()))}
                raise UnknownName("leaf", name, sorted(known))
            homes = {(m.at.file if m.at else "", m.function) for m in matching}
            if len(homes) > 1 and ":" not in name:
                forms = sorted(f"{os.path.basename(f)}:{fn}:{name}" for f, fn in homes)
                raise UsageError(
                    f"--leaf {name} matches several variables: choose one of {', '.join(forms)}"
                )
            kept = matching if any(m in found for m in matching) else matching[:1]
            chosen += [replace(mark, name=name.rsplit(":", 1)[-1]) for mark in kept]
        return tuple(chosen)

    def root(self) -> tuple[int, str, Frame | None] | None:
        """The value of the variable that the user named as root, at its last assignment."""
        name = self.recorder.root_name
        if name is None:
            return None
        variables = self.variables()
        matching = [v for v in variables if _matches(name, v.name, v.at, v.function)]
        matching = matching or self._bound(name)
        if not matching:
            raise UnknownName("root", name, sorted({v.name for v in variables}))
        last = matching[-1]
        return last.values[-1], last.name, last.at

    def variables(self) -> list[LeafMark]:
        """Every variable that was assigned the result of an op, or used as an op's operand."""
        journal = self.recorder.journal
        statements: dict[int, tuple[str, Frame] | None] = {}
        found: dict[tuple[str, str, int], LeafMark] = {}
        stacks = self.recorder.mode.stacks
        for op in range(len(journal.head)):
            place = journal.site[op]
            frame = self.frames[place]
            if frame is None:
                continue
            start = journal.outputs_end[op - 1] if op else 0
            if start == journal.outputs_end[op]:
                continue
            if op in stacks:
                named = self._by_stack(op)
            else:
                if place not in statements:
                    statements[place] = self.naming.assigned([frame])
                named = statements[place]
            if named is None:
                continue
            name, statement = named
            key = (name, statement.file, statement.line)
            # The last op of a statement is the one whose result is assigned.
            found[key] = self._variable(name, journal.outputs[start], frame, statement)
        for value, (place, position, where) in self.recorder.memory.met_as.items():
            frame = self.frames[place]
            operand = self.naming.operand(frame, position) if frame else None
            if frame is None or operand is None:
                continue
            for name in {operand, self.naming.outermost(operand, self._frames(where))}:
                key = (name, frame.file, frame.line)
                found.setdefault(key, self._variable(name, value, frame, frame))
        return list(found.values())

    def of_sources(self) -> dict[int, str]:
        """Names of the tensors that were drawn, or met without being a parameter."""
        journal = self.recorder.journal
        found: dict[int, str] = {}
        for op in self.recorder.mode.draws:
            named = self._by_stack(op)
            start = journal.outputs_end[op - 1] if op else 0
            if named is not None and start < journal.outputs_end[op]:
                found[journal.outputs[start]] = named[0]
        for value, (place, position, _) in self.recorder.memory.met_as.items():
            frame = self.frames[place]
            if frame is None or journal.flags[value] & PARAMETER:
                continue
            operand = self.naming.operand(frame, position)
            if operand is not None:
                found[value] = operand
        return found

    def _bound(self, name: str) -> list[LeafMark]:
        """The tensor that a name meant when the probe stopped: in the program, or as it failed."""
        value = self.recorder.bound.get(name)
        if value is None:
            return []
        made = self.recorder.journal.made_at[value]
        at = self.frames[self.recorder.journal.site[made]] if made >= 0 else None
        requires = bool(self.recorder.journal.flags[value] & REQUIRES_GRAD)
        function = at.function if at is not None else ""
        return [LeafMark(name, function, (value,), at, "named", requires, False, False, None, at)]

    def _frames(self, where: Where) -> list[Frame]:
        return [f for _, site, _ in where.frames if (f := self.frames[site]) is not None]

    def _variable(self, name: str, value: int, at: Frame, statement: Frame) -> LeafMark:
        requires = bool(self.recorder.journal.flags[value] & REQUIRES_GRAD)
        return LeafMark(
            name, statement.function, (value,), at, "named", requires, False, False, None, statement
        )

    def _asked(self) -> list[LeafMark]:
        """Tensors whose gradient the program asked torch for by name, and that require none."""
        journal = self.recorder.journal
        asked = {
            value
            for seen in self.recorder.passes.passes
            for value in seen.inputs
            if seen.raised is not None and not journal.flags[value] & REQUIRES_GRAD
        }
        return [v for v in self.variables() if v.values[0] in asked] if asked else []

    def _inferred(self) -> list[LeafMark]:
        """With no leaf at all: the random tensors, of which one may be the forgotten leaf."""
        journal = self.recorder.journal
        found = []
        for op in self.recorder.mode.draws:
            start = journal.outputs_end[op - 1] if op else 0
            named = self._by_stack(op)
            frame = self.frames[journal.site[op]]
            if named is None or frame is None or start == journal.outputs_end[op]:
                continue
            name, statement = named
            value = journal.outputs[start]
            mark = self._variable(name, value, frame, statement)
            if journal.metas[journal.meta[value]].differentiable:
                found.append(
                    LeafMark(
                        name,
                        mark.function,
                        (value,),
                        frame,
                        "inferred",
                        False,
                        False,
                        False,
                        None,
                        statement,
                    )
                )
        return found

    def _by_stack(self, op: int) -> tuple[str, Frame] | None:
        where = self.recorder.mode.stacks.get(op)
        if where is None:
            return None
        return self.naming.assigned(self._frames(where))

    def wanted(self, leaf: WatchedLeaf) -> str | None:
        """The name of a leaf, None where it is a module's, or none of those that the user named."""
        mark = self.mark(leaf)
        if not self.recorder.leaf_names:
            return mark.name if mark.requires_grad and not mark.in_module else None
        for name in self.recorder.leaf_names:
            if _matches(name, mark.name, mark.at, mark.function):
                return name.rsplit(":", 1)[-1]
        return None

    def mark(self, leaf: WatchedLeaf) -> LeafMark:
        stack = self._frames(leaf.where)
        at = self.frames[leaf.place]
        named: tuple[str, Frame] | None = None
        if leaf.made == "met" and at is not None:
            met = self.recorder.memory.met_as.get(leaf.values[0])
            operand = self.recorder.first_in.get(leaf.values[0])
            if met is not None:
                operand = self.naming.operand(at, met[1])
            named = (self.naming.outermost(operand, stack), at) if operand else None
        else:
            named = self.naming.assigned(stack)
        if named is None and at is not None:
            text = self.naming.receiver(at) if leaf.made in ("requires_grad_", "setter") else None
            named = (text or at.expression[:40], at)
        name, statement = named or ("leaf", at)
        return LeafMark(
            name=name,
            function=statement.function if statement else "",
            values=tuple(leaf.values),
            at=at,
            made=leaf.made,
            requires_grad=leaf.requires_grad,
            is_parameter=leaf.is_parameter,
            in_module=leaf.in_module,
            frozen_at=self.frames[leaf.frozen_at] if leaf.frozen_at else None,
            statement=statement,
        )


def _matches(wanted: str, name: str, at: Frame | None, function: str) -> bool:
    """`variable`, or `file.py:function:variable` with any ending of the path and of the name.

    An attribute may be named by its last part: `z0` for `self.z0`.
    """
    parts = wanted.rsplit(":", 2)
    if parts[-1] not in (name, name.rsplit(".", 1)[-1]):
        return False
    if len(parts) == 1:
        return True
    if len(parts) != 3 or at is None:
        return False
    same_file = at.file == parts[0] or at.file.endswith("/" + parts[0])
    return same_file and (function == parts[1] or function.endswith("." + parts[1]))
