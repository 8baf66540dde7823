"""`gradprobe view`: a page in the browser, a server for this machine alone, or one line."""

from __future__ import annotations

import http.client
import re
import signal
import socket
import stat
import subprocess
import sys
import time
import webbrowser
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from gradprobe.records.report import Report

Run = Callable[..., CompletedProcess[str]]


@pytest.fixture
def saved(here: Path, report: Report, monkeypatch: pytest.MonkeyPatch) -> Path:
    temporary = here / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    return report.save(here / "report.json")


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What a browser was asked to show."""
    addresses: list[str] = []

    def show(address: str) -> bool:
        addresses.append(address)
        return True

    monkeypatch.setattr(webbrowser, "open", show)
    return addresses


def test_the_page_is_a_local_file_that_only_its_user_can_read(
    saved: Path, here: Path, report: Report, command: Run, shown: list[str]
) -> None:
    done = command("view", "report.json")
    assert (done.returncode, done.stderr) == (0, "")
    path = Path(done.stdout.removeprefix("wrote ").strip())
    assert path.name == "report.html"
    assert shown == [path.as_uri()]
    assert path.read_text(encoding="utf-8") == report.render("html", base=str(here))
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_without_a_browser_the_file_is_named(
    saved: Path, command: Run, shown: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert command("view", "report.json", "--no-browser").stdout.startswith("wrote ")
    assert shown == []
    monkeypatch.setattr(webbrowser, "open", lambda address: False)
    done = command("view", "report.json")
    assert done.returncode == 0
    assert done.stderr == "no browser could be started: open that file in one\n"


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["none.json"], "cannot read none.json: No such file or directory"),
        (["empty.json"], "cannot read empty.json: it is not JSON"),
        (["report.json", "--serve", "70000"], "invalid value for '--serve'"),
    ],
)
def test_bad_input_is_one_line(
    arguments: list[str], why: str, saved: Path, command: Run, shown: list[str]
) -> None:
    Path("empty.json").write_text("")
    done = command("view", *arguments)
    assert (done.returncode, done.stdout, shown) == (2, "", [])
    assert done.stderr.startswith(f"gradprobe: {why}")
    assert done.stderr.count("\n") == 1


def test_a_port_in_use_is_one_line(saved: Path, command: Run, shown: list[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = command("view", "report.json", "--serve", str(port))
    assert (done.returncode, shown) == (2, [])
    assert done.stderr.startswith(f"gradprobe: cannot serve on port {port}: ")


@pytest.fixture
def server(saved: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    line = [sys.executable, "-m", "gradprobe", "view", str(saved), "--serve", "0", "--no-browser"]
    started = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert started.stdout is not None
        said = started.stdout.readline()
        found = re.fullmatch(r"serving http://127\.0\.0\.1:(\d+)/ until Ctrl-C\n", said)
        assert found is not None, said
        yield started, int(found[1])
    finally:
        started.kill()
        started.communicate()


def ask(
    port: int, path: str = "/", method: str = "GET", host: str = "localhost"
) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request(method, path, headers={"Host": f"{host}:{port}"})
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, text


def test_it_serves_the_page_and_nothing_else_to_this_machine_until_ctrl_c(
    server: tuple[subprocess.Popen[str], int],
) -> None:
    process, port = server
    status, page = ask(port)
    assert status == 200
    assert page.startswith("<!doctype html>")
    assert "The gradient of z0 is lost" in page
    assert ask(port, method="HEAD") == (200, "")
    assert ask(port, "/report.json")[0] == 404
    assert ask(port, host="evil.example")[0] == 403  # a name of another site for this machine
    process.send_signal(signal.SIGINT)
    for _ in range(200):
        if process.poll() is not None:
            break
        time.sleep(0.05)
    assert process.poll() == 0
