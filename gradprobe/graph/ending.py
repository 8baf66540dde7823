"""The state that a sampler ends with: where its trunk narrows to one value for the last time."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from gradprobe.graph.skeleton import Skeleton


def narrows_of(bones: Skeleton, sizes: Collection[int]) -> tuple[int, ...]:
    """The values from the last call on that all of the trunk goes through, of the state's size.

    The branches that pass no call (a penalty on the noise) are not the trunk's.
    """
    last = max((n for n, e in enumerate(bones.events) if e.call is not None), default=None)
    if last is None:
        return ()

    def on_trunk(value: int) -> bool:
        return value in bones.entering or bones.depth.get(value, 0) > 0

    last_use: dict[int, int] = {}
    for number, event in enumerate(bones.events):
        noise = bones.noise_at(number)
        if not any(on_trunk(v) for v in event.outputs):
            continue
        for value in event.inputs:
            if on_trunk(value) and value in bones.flow.between and value not in noise:
                last_use[value] = number
    last_use.update(dict.fromkeys(bones.flow.roots, len(bones.events)))
    found: dict[int, None] = {}
    alive = {v for v, use in last_use.items() if use > last >= bones.made_by.get(v, -1)}
    for number in range(last, len(bones.events)):
        event = bones.events[number]
        alive.update(v for v in event.outputs if last_use.get(v, -1) > number)
        alive.difference_update([v for v in event.inputs if last_use.get(v, -1) <= number])
        if len(alive) == 1:
            (value,) = alive
            if bones.size(value) in sizes:
                found[value] = None
    return tuple(found)


def final_of(bones: Skeleton, ends: tuple[int, ...]) -> int | None:
    """Of these, the last that the sampler itself made, and not what takes its result.

    Made by the sampler is what ran in a function that the denoiser was called from and backward was
    not, or in the loop around the denoiser's calls. Where neither says so, it is the first.
    """
    own = [v for v in ends if _is_own(bones, bones.data.trace.values.at[v])]
    return own[-1] if own else next(iter(ends), None)


def _is_own(bones: Skeleton, op: int) -> bool:
    trace = bones.data.trace
    call = bones.calls[-1]
    if call.from_op <= op < call.to_op:
        return True
    outside = _outside(bones)
    around = {trace.functions_at[site]: site for _, site, _ in call.where.frames}
    for site in _places(bones, trace.ops.site[op]):
        function = trace.functions_at[site]
        if function not in around:
            continue
        if function not in outside:
            return True
        # In a function that goes on to take the result: only what lies in the denoiser's loop.
        at = trace.offsets.get(site, -1)
        return any(first <= at <= last for first, last in trace.loops.get(around[function], ()))
    return False


def _outside(bones: Skeleton) -> set[int]:
    """The functions that backward was called from."""
    trace = bones.data.trace
    at_end = (p.where.frames for p in trace.passes if set(p.roots) & set(bones.flow.roots))
    return {trace.functions_at[site] for frames in at_end for _, site, _ in frames}


def _places(bones: Skeleton, site: int) -> Iterator[int]:
    """A place and those that its function was called from, innermost first."""
    trace = bones.data.trace
    seen: set[int] = set()
    while 0 < site < len(trace.callers) and site not in seen:
        seen.add(site)
        yield site
        site = trace.callers[site]
