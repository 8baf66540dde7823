"""A target runs as Python alone would run it, and leaves nothing behind."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gradprobe.errors import BadTarget
from gradprobe.target import Call, Module, Script, parse, run

WHO_AM_I = """
import json, os, sys
import __main__
print(json.dumps({
    "argv": sys.argv,
    "path": sys.path[0],
    "name": __name__,
    "file": __file__,
    "package": __package__,
    "spec": getattr(__spec__, "name", None),
    "loader": type(__loader__).__name__,
    "cached": __cached__,
    "builtins": type(__builtins__).__name__,
    "globals": sorted(globals()),
    "is_main": vars(__main__) is globals(),
    "code": sys._getframe().f_code.co_filename,
}))
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def python(*arguments: str) -> str:
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=True)
    return done.stdout


@pytest.mark.parametrize("named", ["who.py", "sub/who.py", "./who.py", "sub/../who.py", "link.py"])
def test_a_script_sees_what_python_shows_it(
    here: Path, capsys: pytest.CaptureFixture[str], named: str
) -> None:
    (here / "sub").mkdir()
    for place in ("who.py", "sub/who.py"):
        (here / place).write_text(WHO_AM_I)
    (here / "link.py").symlink_to("sub/who.py")
    assert run(parse(named), ["--steps", "4", "-o", "x"]).exit_code == 0
    assert capsys.readouterr().out == python(named, "--steps", "4", "-o", "x")


@pytest.mark.parametrize("named", ["package.who", "package", "package.inner"])
def test_a_module_sees_what_python_shows_it(
    here: Path, capsys: pytest.CaptureFixture[str], named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = here / "package" / "inner"
    inner.mkdir(parents=True)
    for place in (here / "package", inner):
        (place / "__init__.py").touch()
        (place / "__main__.py").write_text(WHO_AM_I)
    (here / "package" / "who.py").write_text(WHO_AM_I)
    for module in ("package", "package.inner"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    assert run(parse(named, as_module=True), ["--steps", "4"]).exit_code == 0
    shown = capsys.readouterr().out
    for module in ("package", "package.inner"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    assert shown == python("-m", named, "--steps", "4")


def test_what_was_changed_is_put_back(here: Path) -> None:
    (here / "greedy.py").write_text(
        "import sys\n"
        "sys.argv.append('more'); sys.path.insert(0, 'elsewhere'); sys.path = ['nowhere']\n"
        "sys.modules['__main__'] = sys\n"
        "raise ValueError\n"
    )
    before = sys.argv, sys.argv[:], sys.path, sys.path[:], sys.modules["__main__"]
    run(parse("greedy.py"), ["x"])
    assert (sys.argv, sys.argv[:], sys.path, sys.path[:], sys.modules["__main__"]) == before


@pytest.mark.parametrize(
    ("ending", "code", "failed"),
    [
        ("pass", 0, False),
        ("sys.exit()", 0, False),
        ("sys.exit(0)", 0, False),
        ("sys.exit(3)", 3, True),
        ("sys.exit(-1)", 255, True),
        ("sys.exit(256)", 0, False),
        ("sys.exit(True)", 1, True),
        ("sys.exit('no such scheduler')", 1, True),
        ("raise SystemExit(2.5)", 1, True),
        ("raise ValueError('x')", 1, True),
        ("raise GeneratorExit", 1, True),
        ("raise KeyboardInterrupt", 130, False),
    ],
)
def test_the_exit_code_is_the_one_that_python_gives(
    here: Path, ending: str, code: int, failed: bool
) -> None:
    (here / "ends.py").write_text(f"import sys\n{ending}\n")
    outcome = run(parse("ends.py"))
    assert (outcome.exit_code, outcome.failed) == (code, failed)
    assert outcome.interrupted is ("KeyboardInterrupt" in ending)
    if not outcome.interrupted:
        alone = subprocess.run([sys.executable, "ends.py"], capture_output=True, check=False)
        assert alone.returncode == code


@pytest.mark.parametrize("named", ["tools.py:make.again", "tools:make.again", "sub/tools.py:make"])
def test_a_callable_is_called_with_no_arguments(
    here: Path, capsys: pytest.CaptureFixture[str], named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "sub").mkdir()
    program = (
        "import sys\n"
        "print(__name__, sys.path[0])\n"
        "def make(*given, **named): print(given, named, sys.argv)\n"
        "make.again = make\n"
        "if __name__ == '__main__': print('not this')\n"
    )
    for place in ("tools.py", "sub/tools.py"):
        (here / place).write_text(program)
    monkeypatch.delitem(sys.modules, "tools", raising=False)
    assert run(parse(named), ["--steps", "4"]).exit_code == 0
    place = named.rpartition(":")[0]
    directory = here / "sub" if place.startswith("sub") else here
    assert capsys.readouterr().out.splitlines() == [
        f"tools {directory}",
        f"() {{}} {[place, '--steps', '4']}",
    ]


def test_a_file_does_not_take_the_place_of_an_imported_module(here: Path) -> None:
    (here / "json.py").write_text("def run(): import json; assert json.__file__ == __file__\n")
    real = sys.modules["json"]
    assert run(parse("json.py:run")).exit_code == 0
    assert sys.modules["json"] is real


def test_the_context_around_the_program_sees_its_exception(here: Path) -> None:
    (here / "fails.py").write_text("raise ValueError('boom')\n")
    seen: list[object] = []

    @contextmanager
    def witness() -> Iterator[None]:
        seen.append(sys.argv)
        try:
            yield
        except ValueError as error:
            seen.append(error)
            raise

    outcome = run(parse("fails.py"), ["x"], within=witness())
    assert seen == [["fails.py", "x"], outcome.exception]


@pytest.mark.parametrize("program", ["pass", "raise ValueError"])
def test_a_fault_of_the_context_is_not_the_programs(here: Path, program: str) -> None:
    (here / "run.py").write_text(program)

    @contextmanager
    def faulty() -> Iterator[None]:
        try:
            yield
        finally:
            raise LookupError

    with pytest.raises(LookupError):
        run(parse("run.py"), within=faulty())


@pytest.mark.parametrize(
    ("named", "kind"),
    [("run.py", Script), ("weird:name", Script), ("run.py:f", Call), ("package.run:C.f", Call)],
)
def test_how_a_name_is_read(here: Path, named: str, kind: type) -> None:
    (here / "run.py").touch()
    (here / "weird:name").touch()
    assert type(parse(named)) is kind
    assert parse(named, as_module=True) == Module(named)


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ("missing.py", "no such script: missing.py; a module is named by -m MODULE, "),
        ("missing.py:f", "no such script: missing.py"),
        ("a.b.c", "no such script: a.b.c; "),
        ("run.py:1", "no such script: run.py:1; "),
        (".", "cannot read .: Is a directory; name a Python script"),
        ("bad.py", "cannot run bad.py:2: SyntaxError: '(' was never closed"),
        ("bad.py:f", "cannot run bad.py:2: SyntaxError: '(' was never closed"),
        ("tabs.py", "cannot run tabs.py:3: TabError: inconsistent use of tabs and spaces in "),
        ("null.py", "cannot run null.py"),
        ("latin.py", "cannot run latin.py:1: SyntaxError: (unicode error) 'utf-8' codec can't "),
    ],
)
def test_a_target_that_cannot_be_read_is_refused(here: Path, named: str, message: str) -> None:
    (here / "run.py").touch()
    (here / "bad.py").write_text("x = 1\ny = (\n")
    (here / "tabs.py").write_text("if 1:\n        x = 1\n\ty = 2\n")
    (here / "null.py").write_bytes(b"x = 1\0\n")
    (here / "latin.py").write_bytes(b"x = '\xe9'\n")
    with pytest.raises(BadTarget) as refusal:
        parse(named)
    assert str(refusal.value).startswith(message)


@pytest.mark.parametrize(
    ("named", "as_module", "message"),
    [
        ("absent_m", True, "no module named 'absent_m'"),
        ("absent_m.inner", True, "no module named 'absent_m'"),
        ("tools_m.inner", True, "no module named 'tools_m.inner'"),
        ("package_m", True, "no module named 'package_m.__main__'"),
        ("bad_m", True, "cannot run"),
        ("math", True, "the module 'math' holds no Python code to run"),
        ("absent_m:f", False, "no module named 'absent_m'"),
        ("bad_m:f", False, "cannot run"),
        ("tools_m:g", False, "tools_m has no 'g' to call"),
        ("tools_m.py:f.g", False, "tools_m.py has no 'f.g' to call"),
        ("tools_m:x", False, "tools_m:x is of type int, not a callable"),
    ],
)
def test_a_target_that_does_not_exist_is_refused_when_it_runs(
    here: Path, named: str, as_module: bool, message: str
) -> None:
    (here / "tools_m.py").write_text("x = 1\ndef f(): pass\n")
    (here / "bad_m.py").write_text("x = (\n")
    (here / "package_m").mkdir()
    (here / "package_m" / "__init__.py").touch()
    path = sys.path[:]
    with pytest.raises(BadTarget) as refusal:
        run(parse(named, as_module=as_module))
    assert str(refusal.value).startswith(message)
    assert sys.path == path


def test_a_missing_import_of_the_program_is_its_own_failure(here: Path) -> None:
    (here / "needs_p").mkdir()
    (here / "needs_p" / "__init__.py").write_text("import absent_dependency\n")
    outcome = run(parse("needs_p.inner", as_module=True))
    assert type(outcome.exception) is ModuleNotFoundError
    assert outcome.failed


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_a_script_may_start_worker_processes(here: Path, method: str) -> None:
    (here / "pool.py").write_text(
        "import multiprocessing as mp, sys\n"
        "def double(x): return 2 * x\n"
        "if __name__ == '__main__':\n"
        f"    with mp.get_context({method!r}).Pool(1) as pool:\n"
        "        print(pool.map(double, [1, 2]))\n"
    )
    program = "from gradprobe.target import parse, run; print(run(parse('pool.py')).exit_code)"
    assert python("-c", program).splitlines() == ["[2, 4]", "0"]


def test_a_module_is_named_absolutely() -> None:
    for name in ("", ".up", "..up", "package..inner", "package."):
        with pytest.raises(BadTarget, match="-m takes the absolute name of a module"):
            parse(name, as_module=True)
