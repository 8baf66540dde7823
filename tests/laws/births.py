"""Where a program's gradient first stops being finite, by plain torch.

    python births.py PROGRAM      prints one JSON object: node, value (`inf` or `nan`), file, line

Every node of the graph gets a hook before backward runs: the first to turn finite gradients into
others is where they are born. Anomaly mode, which checks nothing here, remembers each node's lines.
"""

from __future__ import annotations

import json
import re
import runpy
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor


def main() -> None:
    program = Path(sys.argv[1]).resolve()
    sys.path[0] = str(program.parent)
    births: list[dict[str, Any]] = []
    original = Tensor.backward

    def backward(self: Tensor, *args: Any, **kwargs: Any) -> None:
        for node in nodes_behind(self.grad_fn):
            node.register_hook(lambda given, got, node=node: told(node, given, got, births))
        original(self, *args, **kwargs)

    Tensor.backward = backward  # type: ignore[method-assign]
    with torch.autograd.set_detect_anomaly(True, check_nan=False):
        runpy.run_path(str(program), run_name="__main__")
    print(json.dumps(births[0] if births else None))


def nodes_behind(root: Any) -> list[Any]:
    found: dict[Any, None] = {}
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if node is not None and node not in found:
            found[node] = None
            waiting.extend(following for following, _ in node.next_functions)
    return list(found)


def told(node: Any, given: Any, got: Any, births: list[dict[str, Any]]) -> None:
    """A node has turned `got` (of its results) into `given` (of its inputs)."""
    if all(map(finite, got)) and not all(map(finite, given)):
        nan = any(g is not None and bool(g.isnan().any()) for g in given)
        file, line = own_frame(node.metadata.get("traceback_", []))
        births.append(
            {
                "node": node.name(),
                "value": "nan" if nan else "inf",
                "file": file,
                "line": line,
            }
        )


def finite(gradient: Tensor | None) -> bool:
    return gradient is None or bool(gradient.isfinite().all())


def own_frame(formatted: list[str]) -> tuple[str, int]:
    """The innermost frame that is not torch's."""
    found = re.findall(r'File "([^"]+)", line (\d+)', "".join(formatted))
    own = [(file, int(line)) for file, line in found if "/torch/" not in file]
    return own[-1]


if __name__ == "__main__":
    main()
