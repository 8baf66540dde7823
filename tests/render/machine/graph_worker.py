"""Model Explorer's own code on graphs: its Python classes, and the worker that lays them out.

Its wheel is read and never imported whole, which would start a server. The worker runs in
SpiderMonkey, which wants a process of its own.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

# What a worker has beside the language: a scope, and a canvas that measures text.
WORKER = """(dependencies, code, reply) => {
  const node = globalThis.process;
  let listener;
  Object.assign(globalThis, {
    self: globalThis,
    process: undefined,
    console: {log() {}, warn() {}, error() {}},
    addEventListener: (kind, heard) => { listener = heard; },
    postMessage: (message) => reply(JSON.stringify(message)),
    OffscreenCanvas: class {
      getContext() { return {measureText: (text) => ({width: 6 * text.length})}; }
    },
  });
  (0, eval)(dependencies);
  (0, eval)(`(() => {${code}})()`);
  globalThis.process = node;
  return (message) => listener({data: JSON.parse(message)});
}"""


def laid_out(collections: Sequence[str], node_data: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Of each collection its graphs by id, as the worker makes them for the screen.

    What either side does not take is raised: a key that no class has, a graph without a layout.
    """
    run = subprocess.run(
        [sys.executable, __file__],
        input=json.dumps([collections, node_data]),
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    graphs: list[dict[str, Any]] = json.loads(run.stdout.splitlines()[-1])
    return graphs


def check(package: Path, collections: Sequence[str], node_data: Sequence[str]) -> None:
    """Each becomes objects of the classes that describe the formats, nothing left over."""
    from dacite import Config, from_dict

    shell = ModuleType("model_explorer")
    shell.__path__ = [str(package)]
    sys.modules["model_explorer"] = shell
    graphs = import_module("model_explorer.graph_builder")
    for text in collections:
        from_dict(graphs.GraphCollection, json.loads(text), Config(strict=True))
    data = import_module("model_explorer.node_data_builder")
    # Values may be words too: the class says so in its comments, and numbers in its types.
    words = Config(strict=True, type_hooks={float | int: lambda v: 0 if isinstance(v, str) else v})
    for text in node_data:
        from_dict(data.ModelNodeData, {"graphsData": json.loads(text)}, words)


def process(package: Path, collections: Sequence[str]) -> list[dict[str, Any]]:
    import pythonmonkey

    web = package / "web_app"
    (worker,) = web.glob("worker-*.js")
    replies: list[dict[str, Any]] = []
    send = pythonmonkey.eval(WORKER)(
        (web / "static_files" / "worker_deps.js").read_text("utf-8"),
        worker.read_text("utf-8"),
        lambda message: replies.append(json.loads(message)),
    )
    made = []
    for text in collections:
        found = {}
        for graph in json.loads(text)["graphs"]:
            replies.clear()
            send(json.dumps(request(graph)))
            errors = [reply["error"] for reply in replies if reply.get("error")]
            assert not errors, errors
            (found[graph["id"]],) = (r["modelGraph"] for r in replies if "modelGraph" in r)
        made.append(found)
    return made


def request(graph: dict[str, Any]) -> dict[str, Any]:
    """As the page asks its worker for a graph that was opened."""
    return {
        "eventType": 0,
        "paneId": "pane",
        "graph": graph,
        "showOnNodeItemTypes": {},
        "nodeDataProviderRuns": {},
        "config": {},
        "groupNodeChildrenCountThreshold": 1000,
        "flattenLayers": False,
        "keepLayersWithASingleChild": bool(
            graph.get("layoutConfigs", {}).get("keepLayersWithASingleChild")
        ),
        "initialLayout": True,
    }


if __name__ == "__main__":
    given, data = json.load(sys.stdin)
    (folder,) = find_spec("model_explorer").submodule_search_locations
    check(Path(folder), given, data)
    print(json.dumps(process(Path(folder), given)))
