"""The image, without an engine: each step of the Dockerfile is read, and run where it can be."""

from __future__ import annotations

import fnmatch
import shutil
from pathlib import Path

import pytest

from tests.dockerfile import command, steps, values
from tests.fresh_environment import ROOT, FreshEnvironment


def reaches_the_image(path: str) -> bool:
    """Whether .dockerignore lets `path` into the build: the last pattern that matches decides."""
    let_in = True
    for pattern in (ROOT / ".dockerignore").read_text(encoding="utf-8").split():
        bare = pattern.removeprefix("!")
        if fnmatch.fnmatch(path, bare) or path.startswith(f"{bare}/"):
            let_in = pattern.startswith("!")
    return let_in


def test_only_known_instructions_are_used() -> None:
    known = {"FROM", "ENV", "ARG", "COPY", "RUN", "USER", "WORKDIR", "ENTRYPOINT", "CMD"}
    assert {word for word, _ in steps()} == known


def test_it_starts_from_the_oldest_python_and_does_not_run_as_root() -> None:
    assert values("FROM") == ["python:3.11-slim"]
    [user] = values("USER")
    assert any(f"useradd --create-home --uid 1000 {user} " in run for run in values("RUN"))
    order = [word for word, _ in steps()]
    assert order.index("USER") > max(i for i, word in enumerate(order) if word == "RUN")


def test_what_is_copied_is_there_and_not_ignored() -> None:
    for copied in values("COPY"):
        *sources, _ = copied.split()
        for source in sources:
            assert (ROOT / source).exists()
            assert reaches_the_image(source)
    assert not reaches_the_image(".venv/bin/python")
    assert not reaches_the_image("tests/conftest.py")


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> FreshEnvironment:
    """The image's COPY and pip steps, carried out with a scratch folder in the place of /build."""
    root = tmp_path_factory.mktemp("image")
    environment = FreshEnvironment(root / "environment")
    build = root / "build"
    for word, rest in steps():
        if word == "COPY":
            *sources, destination = rest.split()
            target = Path(destination.replace("/build", str(build)))
            for source in sources:
                if (ROOT / source).is_dir():
                    shutil.copytree(ROOT / source, target)
                else:
                    target.mkdir(parents=True, exist_ok=True)
                    shutil.copy(ROOT / source, target)
        if word == "RUN" and rest.startswith("pip install"):
            # torch is borrowed, so its index need not be asked for it.
            here = rest.replace("/build", str(build)).replace("--extra-index-url", "")
            done = environment.run(here.replace('"$TORCH_INDEX"', ""), cwd=root)
            assert done.returncode == 0, done.stdout
    assert not build.exists()  # the last step takes it away
    return environment


def container(image: FreshEnvironment, arguments: str, src: Path) -> tuple[int, str]:
    """`docker run IMAGE arguments`, with the folder `src` in the place of /src."""
    assert values("WORKDIR") == ["/src"]
    done = image.run(command(arguments), cwd=src)
    return done.returncode, done.stdout


def test_without_arguments_it_runs_the_selftest(image: FreshEnvironment, tmp_path: Path) -> None:
    code, output = container(image, "", tmp_path)
    assert code == 0, output
    assert "PASSED" in output


def test_it_traces_a_script_of_the_mounted_folder(image: FreshEnvironment, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(
        "import torch\n"
        "z0 = torch.ones(3, requires_grad=True)\n"
        "x = (2 * z0).detach()\n"
        "(x * x).sum().backward()\n",
        encoding="utf-8",
    )
    code, output = container(image, "trace script.py", tmp_path)
    assert code == 1, output
    assert "GP101" in output
    assert "script.py:3" in output
