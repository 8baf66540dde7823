"""A program to trace: parse how it was named, and run it as Python itself would.

Three forms, as on the command line:

    script.py                   `python script.py`: it is `__main__`
    package.module              `python -m package.module` (`as_module=True`): it is `__main__`
    package.module:callable     imported, then called with no arguments
    path/file.py:callable       the same, from a file that need not be importable

The program sees its own `sys.argv`, `sys.path[0]` and `__main__`; all three are put back after it.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from gradprobe.errors import BadTarget

INTERRUPTED = 130  # what a shell reports for a program that Ctrl-C ended


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the program ended.

    `exit_code` is the status the process would have had; `exception` is what ended the program
    (`SystemExit` included), or None; `interrupted` says that it was Ctrl-C.
    """

    exit_code: int
    exception: BaseException | None = None
    interrupted: bool = False

    @property
    def failed(self) -> bool:
        """Whether the program ended badly by itself: it raised, or exited with another code than 0.

        Ctrl-C is no failure of the program.
        """
        return self.exit_code != 0 and not self.interrupted


@dataclass(frozen=True, slots=True)
class Script:
    """`python script.py`; compiled before anything runs."""

    path: str
    code: CodeType

    @property
    def argv0(self) -> str:
        return self.path

    @property
    def directory(self) -> str:
        return os.path.dirname(os.path.realpath(self.path))

    def execute(self) -> None:
        main = sys.modules["__main__"]
        file = _absolute(self.path)
        main.__file__ = file
        main.__loader__ = SourceFileLoader("__main__", file)
        main.__dict__["__cached__"] = None
        exec(self.code, main.__dict__)


@dataclass(frozen=True, slots=True)
class Module:
    """`python -m package.module`, or the `__main__` of a package."""

    name: str

    @property
    def argv0(self) -> str:
        return "-m"  # what Python shows while it looks for the module

    @property
    def directory(self) -> str:
        return os.getcwd()

    def execute(self) -> None:
        spec = _find(self.name)
        if spec.submodule_search_locations is not None:
            spec = _find(f"{self.name}.__main__")
        code = _code_of(spec)
        main = sys.modules["__main__"]
        main.__spec__ = spec
        main.__loader__ = spec.loader
        main.__package__ = spec.parent
        main.__file__ = spec.origin
        main.__dict__["__cached__"] = spec.cached
        sys.argv[0] = spec.origin or self.name
        exec(code, main.__dict__)


@dataclass(frozen=True, slots=True)
class Call:
    """A callable of a module, or of a file where `code` holds that file, compiled."""

    place: str
    attribute: str
    code: CodeType | None = None

    @property
    def argv0(self) -> str:
        return self.place

    @property
    def directory(self) -> str:
        return os.getcwd() if self.code is None else os.path.dirname(os.path.realpath(self.place))

    def execute(self) -> None:
        if self.code is None:
            spec = _find(self.place)
            if isinstance(spec.loader, SourceFileLoader):
                _code_of(spec)  # says clearly that it does not compile
            self._call(importlib.import_module(self.place))
            return
        name = Path(self.place).stem
        file = _absolute(self.place)
        loader = SourceFileLoader(name, file)
        module = importlib.util.module_from_spec(ModuleSpec(name, loader, origin=file))
        module.__file__ = file
        with _registered(name, module):
            exec(self.code, module.__dict__)
            self._call(module)

    def _call(self, module: ModuleType) -> None:
        found: Any = module
        for part in self.attribute.split("."):
            try:
                found = getattr(found, part)
            except AttributeError:
                raise BadTarget(f"{self.place} has no {self.attribute!r} to call") from None
        if not callable(found):
            kind = type(found).__name__
            raise BadTarget(f"{self.place}:{self.attribute} is of type {kind}, not a callable")
        found()


Target = Script | Module | Call


def parse(text: str, *, as_module: bool = False) -> Target:
    """The target that `text` names. Nothing of the program runs yet.

    Raises `BadTarget` for a file that is missing, cannot be read or does not compile. A module is
    looked for only when it runs, because that imports its packages.
    """
    if as_module:
        if not all(text.split(".")):
            raise BadTarget(f"-m takes the absolute name of a module, not {text!r}")
        return Module(text)
    if os.path.exists(text):
        return Script(text, _compile(text))
    place, _, attribute = text.rpartition(":")
    if place and all(part.isidentifier() for part in attribute.split(".")):
        if place.endswith(".py"):
            return Call(place, attribute, _compile(place))
        if all(part.isidentifier() for part in place.split(".")):
            return Call(place, attribute)
    raise BadTarget(
        f"no such script: {text}; a module is named by -m MODULE, a function by MODULE:FUNCTION"
    )


def run(
    target: Target,
    arguments: Sequence[str] = (),
    *,
    within: AbstractContextManager[object] | None = None,
) -> Outcome:
    """Run `target` with `arguments` in `sys.argv[1:]`, inside the context `within`.

    `within` (a probe, usually) sees the exception that ended the program; this function then
    returns it in the outcome. Raises `BadTarget` where the module or the callable does not exist,
    and what `within` itself raises.
    """
    ended_by: BaseException | None = None
    try:
        with _as_program(target, arguments), within or nullcontext():
            try:
                target.execute()
            except BaseException as error:
                ended_by = error
                raise
    except BadTarget:
        raise
    except BaseException as error:
        if error is not ended_by:
            raise
    return _outcome(ended_by)


def _outcome(ended_by: BaseException | None) -> Outcome:
    if isinstance(ended_by, KeyboardInterrupt):
        return Outcome(INTERRUPTED, ended_by, interrupted=True)
    if isinstance(ended_by, SystemExit):
        return Outcome(_exit_code(ended_by), ended_by)
    return Outcome(0 if ended_by is None else 1, ended_by)


@contextmanager
def _as_program(target: Target, arguments: Sequence[str]) -> Iterator[None]:
    """`sys.argv`, `sys.path` and `__main__` as the program expects them, for a while."""
    argv, path = sys.argv, sys.path
    sys.argv = [target.argv0, *arguments]
    # With -P or PYTHONSAFEPATH nothing was put first, so nothing is to be replaced.
    sys.path = path[:] if sys.flags.safe_path else [target.directory, *path[1:]]
    main = ModuleType("__main__")
    main.__dict__["__builtins__"] = sys.modules["builtins"]
    main.__annotations__ = {}
    try:
        with _registered("__main__", main):
            yield
    finally:
        sys.argv = argv
        sys.path = path


@contextmanager
def _registered(name: str, module: ModuleType) -> Iterator[None]:
    """`module` in `sys.modules` for a while; what was there before comes back."""
    before = sys.modules.get(name)
    sys.modules[name] = module
    try:
        yield
    finally:
        if before is None:
            sys.modules.pop(name, None)
        else:
            sys.modules[name] = before


def _exit_code(leave: SystemExit) -> int:
    if leave.code is None:
        return 0
    return leave.code & 0xFF if isinstance(leave.code, int) else 1


def _absolute(path: str) -> str:
    """As Python makes the name of a script absolute: `./` and `../` stay."""
    return os.path.join(os.getcwd(), path)


def _compile(path: str) -> CodeType:
    try:
        source = Path(path).read_bytes()
    except FileNotFoundError:
        raise BadTarget(f"no such script: {path}") from None
    except OSError as error:
        raise BadTarget(f"cannot read {path}: {error.strerror}; name a Python script") from error
    try:
        return compile(source, _absolute(path), "exec", dont_inherit=True)
    except (SyntaxError, ValueError) as error:  # ValueError: a null byte, before Python 3.12
        raise _not_python(path, error) from error


def _find(name: str) -> ModuleSpec:
    """Where the module `name` is; imports the packages above it."""
    try:
        spec = importlib.util.find_spec(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise  # the package exists, and something that it imports does not
        raise BadTarget(f"no module named {error.name!r}; is it installed, or here?") from error
    except ValueError:  # an empty or relative name, or a module with no spec
        spec = None
    if spec is None:
        raise BadTarget(f"no module named {name!r}; is it installed, or here?")
    return spec


def _code_of(spec: ModuleSpec) -> CodeType:
    get_code = getattr(spec.loader, "get_code", None)
    try:
        code = get_code(spec.name) if get_code else None
    except SyntaxError as error:
        raise _not_python(spec.origin or spec.name, error) from error
    if not isinstance(code, CodeType):
        raise BadTarget(f"the module {spec.name!r} holds no Python code to run")
    return code


def _not_python(path: str, error: Exception) -> BadTarget:
    if isinstance(error, SyntaxError):
        line = f":{error.lineno}" if error.lineno else ""
        return BadTarget(f"cannot run {path}{line}: {type(error).__name__}: {error.msg}")
    return BadTarget(f"cannot run {path}: {error}")
