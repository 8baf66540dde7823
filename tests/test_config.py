"""`[tool.gradprobe]`: found as other tools find theirs, and clear when something in it is wrong."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from gradprobe.config import Config, load, nearest
from gradprobe.diagnose.allow import parse as allowed
from gradprobe.errors import BadConfig, CannotRead, UsageError
from gradprobe.records.baseline import Baseline

FULL = """
[tool.gradprobe]
leaves = ["z0", "run.py:main:text"]
root = "loss"
denoiser = "UNet"
find-stages = "declared"
allow = ["GP301", "gp102:k_diffusion/sampling.py", "GP101:./steps.py:Sampler.step"]
select = ["GP1", "gp301"]
ignore = ["GP114"]
fail-on = "warning"

[tool.gradprobe.stages]
denoised = "k_diffusion/sampling.py:sample_euler:denoised"
state = ["sampler.py:outer.<locals>.inner:x", "my.sampler:Sampler.step:x"]
"""


def written(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "pyproject.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_every_key_is_read(tmp_path: Path) -> None:
    path = written(tmp_path, FULL)
    assert load(path) == Config(
        file=path,
        stages=(
            "denoised=k_diffusion/sampling.py:sample_euler:denoised",
            "state=sampler.py:outer.inner:x",
            "state=my.sampler:Sampler.step:x",
        ),
        leaves=("z0", "run.py:main:text"),
        root="loss",
        denoiser="UNet",
        find_stages="declared",
        allow=allowed(["GP301", "GP102:k_diffusion/sampling.py", "GP101:steps.py:Sampler.step"]),
        select=("GP1", "GP301"),
        ignore=("GP114",),
        fail_on="warning",
    )


def test_stages_may_be_a_list(tmp_path: Path) -> None:
    path = written(tmp_path, '[tool.gradprobe]\nstages = ["a=s.py:f:x", "a=s.py:g:x"]\n')
    assert load(path).stages == ("a=s.py:f:x", "a=s.py:g:x")


def test_the_nearest_file_with_our_table_counts(tmp_path: Path) -> None:
    outer = written(tmp_path, '[tool.gradprobe]\nroot = "outer"\n')
    written(tmp_path / "package", "[tool.other]\nroot = 1\n")
    inner = written(tmp_path / "package" / "inner", '[tool.gradprobe]\nroot = "inner"\n')
    below = tmp_path / "package" / "inner" / "deep"
    below.mkdir()
    assert (nearest(below).root, nearest(below).file) == ("inner", inner)
    assert (nearest(tmp_path / "package").root, nearest(tmp_path).file) == ("outer", outer)


def test_no_file_is_no_settings(tmp_path: Path) -> None:
    written(tmp_path, '[project]\nname = "x"\n')
    assert nearest(tmp_path) == Config()
    assert Config().arguments() == {
        "stages": (),
        "leaves": (),
        "root": None,
        "denoiser": None,
        "find_stages": "auto",
        "ops": "all",
        "numerics": "stages",
        "follow_host": False,
        "allow": (),
        "select": (),
        "ignore": (),
        "baseline": None,
    }


WRONG = {
    'leefs = ["z0"]': "unknown key 'leefs' in [tool.gradprobe]; did you mean leaves?",
    'fail_on = "error"': "unknown key 'fail_on' in [tool.gradprobe]; did you mean fail-on?",
    'roots = ["loss"]': "unknown key 'roots' in [tool.gradprobe]; did you mean root?",
    "qqqq = 1": "unknown key 'qqqq' in [tool.gradprobe]; there are stages, leaves, root, denoiser, "
    "find-stages, ops, numerics, follow-host, allow, select, ignore, baseline, fail-on",
    'leaves = "z0"': 'tool.gradprobe.leaves: it must be a list such as ["z0"], not a string',
    "leaves = [1]": 'tool.gradprobe.leaves: it must be a list such as ["z0"]; 1 is not one',
    'leaves = [" "]': "tool.gradprobe.leaves: it must be a list such as [\"z0\"]; ' ' is not one",
    'root = ["a"]': "tool.gradprobe.root: it must be a name, not a list",
    "root = 3": "tool.gradprobe.root: it must be a name, not 3",
    'denoiser = ""': "tool.gradprobe.denoiser: it must be a name, not an empty string",
    "denoiser = true": "tool.gradprobe.denoiser: it must be a name, not a boolean",
    'find-stages = "atuo"': "tool.gradprobe.find-stages: it must be one of auto, declared, none, "
    "not 'atuo'; did you mean auto?",
    "find-stages = 0": "tool.gradprobe.find-stages: it must be one of auto, declared, none, not 0",
    'fail-on = "eror"': "tool.gradprobe.fail-on: it must be one of error, warning, note, never, "
    "not 'eror'; did you mean error?",
    'follow-host = "yes"': "tool.gradprobe.follow-host: it must be one of auto, on, off, not 'yes'",
    'allow = "GP301"': 'tool.gradprobe.allow: it must be a list such as ["GP301"], not a string',
    'allow = ["GP999"]': "tool.gradprobe.allow: no rule named 'GP999' was seen; did you mean GP",
    'allow = ["GP101:steps.py:12"]': "tool.gradprobe.allow: allow entry 'GP101:steps.py:12' names "
    "a line, and lines move: name the function, for example GP101:my_sampler/steps.py:Sampler.step",
    'allow = ["GP101:steps:f:g"]': "tool.gradprobe.allow: allow entry 'GP101:steps:f:g' is not "
    "CODE, CODE:FILE or CODE:FILE:FUNCTION; for example ",
    'select = "GP1"': 'tool.gradprobe.select: it must be a list such as ["GP3"], not a string',
    'select = ["GP9"]': "tool.gradprobe.select: no code begins with 'GP9'; did you mean GP1, GP2,",
    'ignore = ["GP310"]': "tool.gradprobe.ignore: no code begins with 'GP310'; did you mean GP30",
    'baseline = ["a.json"]': "tool.gradprobe.baseline: it must be a name, not a list",
    "stages = 1": "tool.gradprobe.stages: it must be a table, "
    'NAME = "FILE_OR_MODULE:FUNCTION:VARIABLE", not 1',
    "stages = [2]": "tool.gradprobe.stages: it must be a list such as "
    '["NAME=FILE_OR_MODULE:FUNCTION:VARIABLE"]; 2 is not one',
    "stages = {a = 2}": "tool.gradprobe.stages: a must be a string "
    "FILE_OR_MODULE:FUNCTION:VARIABLE or a list",
    "stages = {a = []}": "tool.gradprobe.stages: a must be a string "
    "FILE_OR_MODULE:FUNCTION:VARIABLE or a list",
    'stages = {a = "s.py:f"}': "tool.gradprobe.stages: stage selector 'a=s.py:f' is not "
    "NAME=FILE_OR_MODULE:FUNCTION:VARIABLE; for example ",
    "leaves = [": "it is not TOML (",
}


@pytest.mark.parametrize("line", WRONG)
def test_what_is_wrong_is_one_line_with_file_and_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    written(tmp_path, f"[tool.gradprobe]\n{line}\n")
    with pytest.raises(BadConfig) as caught:
        nearest(tmp_path)
    assert str(caught.value).startswith(f"{tmp_path / 'pyproject.toml'}: {WRONG[line]}")
    assert "\n" not in str(caught.value)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadConfig) as caught:
        load(tmp_path / "pyproject.toml")
    assert str(caught.value).startswith(f"pyproject.toml: {WRONG[line]}")


def test_a_file_that_is_asked_for_must_have_our_table(tmp_path: Path) -> None:
    for text, why in (
        ('[project]\nname = "x"\n', r"it has no table \[tool\.gradprobe\]"),
        ("[tool]\ngradprobe = 3\n", r"tool\.gradprobe must be a table: write \[tool\.gradprobe\]"),
    ):
        with pytest.raises(BadConfig, match=why):
            load(written(tmp_path, text))
    with pytest.raises(BadConfig, match="No such file"):
        load(tmp_path / "absent.toml")
    (tmp_path / "pyproject.toml").write_bytes(b"\xff[tool.gradprobe]")
    with pytest.raises(BadConfig, match="it is not TOML"):
        nearest(tmp_path)


def test_what_is_asked_for_wins_and_lists_of_entries_add_up(tmp_path: Path) -> None:
    config = load(written(tmp_path, FULL))
    asked = config.arguments(
        stages=["state=other.py:f:x", "noise=other.py:f:eps"],
        leaves=["z1"],
        root="reward",
        denoiser="f",
        find_stages="none",
        allow=["GP107"],
    )
    assert asked == {
        "stages": (
            "denoised=k_diffusion/sampling.py:sample_euler:denoised",
            "state=other.py:f:x",
            "noise=other.py:f:eps",
        ),
        "leaves": ["z1"],
        "root": "reward",
        "denoiser": "f",
        "find_stages": "none",
        "ops": "all",
        "numerics": "stages",
        "follow_host": False,
        "allow": (*config.allow, *allowed("GP107")),
        "select": ("GP1", "GP301"),
        "ignore": ("GP114",),
        "baseline": None,
    }
    assert config.arguments()["leaves"] == ("z0", "run.py:main:text")
    assert config.arguments(leaves=[])["leaves"] == []
    assert config.arguments()["find_stages"] == "declared"
    assert config.arguments(stages={"state": "a.py:f:x"})["stages"][-1] == "state=a.py:f:x"
    with pytest.raises(UsageError, match="stage selector 'x' is not "):
        config.arguments(stages="x")


def test_what_is_selected_takes_the_place_of_what_the_file_chooses(tmp_path: Path) -> None:
    config = load(written(tmp_path, FULL))

    def choice(**given: str) -> tuple[object, object]:
        asked = config.arguments(**given)  # type: ignore[arg-type]
        return asked["select"], asked["ignore"]

    assert choice(ignore="GP306") == (("GP1", "GP301"), ("GP114", "GP306"))
    assert choice(select="GP114") == (("GP114",), ())
    assert choice(select="gp2, GP3", ignore="GP306") == (("GP2", "GP3"), ("GP306",))


def test_a_baseline_is_found_from_the_file_s_folder_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path / "project", '[tool.gradprobe]\nbaseline = "known/base.json"\n')
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CannotRead, match=r"cannot read .*known.base\.json: No such file"):
        load(path).arguments()
    target = tmp_path / "project" / "known" / "base.json"
    target.parent.mkdir()
    Baseline(str(target)).write()
    Baseline("other.json").write()
    assert load(path).arguments()["baseline"] == Baseline(str(target))
    assert nearest(path.parent, shared=True).arguments()["baseline"].shared
    other = load(path).arguments(baseline="other.json")["baseline"]
    assert other == Baseline(str(tmp_path / "other.json"))
    assert load(path).arguments(baseline=Baseline("new.json", new=True))["baseline"].new


def test_values_are_followed_where_it_was_asked_for(tmp_path: Path) -> None:
    config = load(written(tmp_path, '[tool.gradprobe]\nfollow-host = "on"\n'))
    assert config.arguments()["follow_host"]
    assert not config.arguments(follow_host="auto")["follow_host"]
    assert not config.arguments(follow_host=False)["follow_host"]
    assert not Config().arguments(follow_host="off")["follow_host"]
    assert Config().arguments(follow_host=True)["follow_host"]


def test_reading_settings_imports_no_torch(tmp_path: Path) -> None:
    path = written(tmp_path, FULL)
    program = (
        "import sys, pathlib; from gradprobe.config import load; "
        f"load(pathlib.Path({str(path)!r})); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert done.stdout == b"False\n"
