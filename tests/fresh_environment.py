"""An environment without gradprobe, for tests of how it installs."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

ROOT = Path(__file__).parent.parent


class FreshEnvironment:
    """A virtual environment that borrows the dependencies of the one running the tests.

    The borrowed folder stands in a .pth file: it comes after the environment's own packages, and
    the .pth files in it, such as that of an editable install, are not read. So torch need not be
    installed twice, and `import gradprobe` finds only what was installed here.
    """

    def __init__(self, path: Path) -> None:
        venv.create(path, with_pip=True, symlinks=os.name == "posix")
        self.bin = path / ("Scripts" if os.name == "nt" else "bin")
        [own] = path.rglob("site-packages")
        (own / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")

    def variables(self) -> dict[str, str]:
        """The environment variables of a shell in which this environment is active."""
        inherited = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME")}
        search = f"{self.bin}{os.pathsep}{os.environ['PATH']}"
        return inherited | {"PATH": search, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}

    def run(self, command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
        """Run a shell command in this environment; `stdout` holds both streams, in order."""
        return subprocess.run(
            ["bash", "-c", command],
            cwd=cwd,
            env=self.variables(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=600,
        )


def build_wheel(into: Path) -> Path:
    """The wheel of the checkout."""
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(into), "."],
        cwd=ROOT,
        check=True,
        capture_output=True,
        timeout=600,
    )
    [wheel] = into.glob("*.whl")
    return wheel
