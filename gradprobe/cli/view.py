"""`gradprobe view`: a saved report as a page in the browser."""

from __future__ import annotations

import os
import tempfile
import webbrowser
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import click

import gradprobe
from gradprobe.errors import CannotWrite, UsageError

LOOPBACK = "127.0.0.1"

EPILOG = """\b
Examples:
  gradprobe view report.json
  gradprobe view report.json --serve 8765    over an SSH tunnel, say
  gradprobe view report.json --no-browser    only say where the page is"""


@click.command(epilog=EPILOG, options_metavar="[OPTIONS]")
@click.argument("report", metavar="REPORT.json")
@click.option(
    "--serve",
    type=click.IntRange(0, 65535),
    metavar="PORT",
    help="Serve the page on this port of this machine alone, until Ctrl-C; 0 takes a free one.",
)
@click.option(
    "--browser/--no-browser",
    default=True,
    show_default=True,
    help="Open the page in a browser.",
)
def view(report: str, serve: int | None, browser: bool) -> int:
    """Open a report that `gradprobe trace -o REPORT.json` saved as a page.

    The page is one file, in the folder for temporary files; it asks nothing of any network. To keep
    it, or to send it on, write it yourself: gradprobe render REPORT.json -o report.html.
    """
    page = gradprobe.load(report).render("html", base=os.getcwd())
    if serve is not None:
        return _serve(page, serve, browser)
    path = _written(page, Path(report).stem)
    click.echo(f"wrote {path}")
    if browser and not webbrowser.open(path.as_uri()):
        click.echo("no browser could be started: open that file in one", err=True)
    return 0


def _written(page: str, name: str) -> Path:
    """The page in a folder of its own, which only this user can read."""
    folder = tempfile.gettempdir()
    try:
        folder = tempfile.mkdtemp(prefix="gradprobe-")
        path = Path(folder, f"{name[:100] or 'report'}.html")
        path.write_text(page, encoding="utf-8", newline="")
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise CannotWrite(folder, why) from error
    return path


def _serve(page: str, port: int, browser: bool) -> int:
    """Serve the page to this machine until Ctrl-C, which is how it is meant to end."""
    try:
        handler = type("Served", (OnePage,), {"page": page.encode("utf-8")})
        server = ThreadingHTTPServer((LOOPBACK, port), handler)
    except OSError as error:
        why = error.strerror or str(error)
        raise UsageError(
            f"cannot serve on port {port}: {why}; --serve 0 takes a free one"
        ) from None
    with server:
        address = f"http://{LOOPBACK}:{server.server_port}/"
        click.echo(f"serving {address} until Ctrl-C")
        if browser:
            webbrowser.open(address)
        try:
            server.serve_forever(poll_interval=0.2)
        except KeyboardInterrupt:
            click.echo("")
    return 0


class OnePage(BaseHTTPRequestHandler):
    """Answers with the page, and with nothing else; only to who asks for this machine by name.

    A page of another site could point a name of its own at this machine, and read the report.
    """

    page = b""

    def do_GET(self) -> None:
        """The page at `/`, 404 elsewhere."""
        self._answer(body=True)

    def do_HEAD(self) -> None:
        """The same without the page."""
        self._answer(body=False)

    def _answer(self, *, body: bool) -> None:
        asked = self.headers.get("Host", "").rpartition(":")[0]
        if asked not in (LOOPBACK, "localhost"):
            self.send_error(HTTPStatus.FORBIDDEN)
            return
        if self.path.partition("?")[0] != "/":
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(self.page)))
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if body:
            self.wfile.write(self.page)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing of each request."""
