"""The package as a whole: what it ships, what it declares, how its rooms are kept."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import entry_points
from pathlib import Path

import pytest

import gradprobe
from tests.fresh_environment import ROOT, FreshEnvironment, build_wheel

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
MODULES = sorted((ROOT / "gradprobe").rglob("*.py"))


def modules_after(statement: str) -> set[str]:
    """The names in `sys.modules` after a fresh interpreter ran `statement`."""
    program = f"import sys\n{statement}\nprint(*sorted(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120
    )
    return set(done.stdout.splitlines()[-1].split())


def test_the_version_is_the_declared_one() -> None:
    assert gradprobe.__version__ == PROJECT["project"]["version"]
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(
        r"^## \[(Unreleased|" + re.escape(gradprobe.__version__) + r")\]", changes, re.M
    )


@pytest.mark.parametrize("statement", ["import gradprobe", "import gradprobe.cli"])
def test_importing_is_cheap(statement: str) -> None:
    assert {"torch", "numpy", "rich"}.isdisjoint(modules_after(statement))


@pytest.mark.parametrize("name", sorted(set(gradprobe.__all__)))
def test_every_public_name_is_there_and_documented(name: str) -> None:
    value = getattr(gradprobe, name)
    assert name == "__version__" or value.__doc__


@pytest.mark.parametrize("group", ["console_scripts", "pytest11"])
def test_entry_points_load(group: str) -> None:
    [point] = [p for p in entry_points(group=group) if p.name == "gradprobe"]
    assert point.load() is not None


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_module_is_past_400_lines(module: Path) -> None:
    assert len(module.read_text(encoding="utf-8").splitlines()) <= 400


def test_every_module_stands_in_a_room_with_a_contract() -> None:
    [layers] = [
        contract["layers"]
        for contract in PROJECT["tool"]["importlinter"]["contracts"]
        if contract["type"] == "layers"
    ]
    placed = {name.strip(" ()") for layer in layers for name in layer.split("|")}
    rooms = {p.name.removesuffix(".py") for p in (ROOT / "gradprobe").glob("[!_.]*")}
    assert rooms - {"py.typed"} <= placed


def test_the_wheel_holds_the_package_and_its_data_and_nothing_else(tmp_path: Path) -> None:
    with zipfile.ZipFile(build_wheel(tmp_path)) as wheel:
        names = set(wheel.namelist())
    sources = {str(path.relative_to(ROOT)) for path in MODULES}
    schemas = ("report", "comparison")
    data = {"gradprobe/py.typed", *(f"gradprobe/records/{s}.schema.json" for s in schemas)}
    page = (ROOT / "gradprobe/render/html").rglob("*.*s")  # and the licence of what it holds
    data |= {str(path.relative_to(ROOT)) for path in page} | {"gradprobe/render/html/uplot/LICENSE"}
    packaged = {name for name in names if name.startswith("gradprobe/")}
    assert packaged == sources | data
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"gradprobe"}
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_the_installed_wheel_works_from_another_folder(tmp_path: Path) -> None:
    wheel = build_wheel(tmp_path / "dist")
    environment = FreshEnvironment(tmp_path / "environment")
    installed = environment.run(f"pip install --quiet --no-deps {wheel}", cwd=tmp_path)
    assert installed.returncode == 0, installed.stdout

    where = environment.run("python -c 'import gradprobe; print(gradprobe.__file__)'", cwd=tmp_path)
    assert Path(where.stdout.strip()).is_relative_to(tmp_path)
    version = environment.run("gradprobe --version", cwd=tmp_path)
    assert (version.returncode, gradprobe.__version__ in version.stdout) == (0, True)
    selftest = environment.run("gradprobe selftest", cwd=tmp_path)
    assert selftest.returncode == 0, selftest.stdout
