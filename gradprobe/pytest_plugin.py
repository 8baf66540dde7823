"""The pytest plugin: hooks and fixtures; what they do stands in `gradprobe.testing`.

    def test_my_sampler(gradprobe):
        with gradprobe.start() as probe:
            z0 = torch.randn(1, 4, 8, 8, requires_grad=True)
            sample(model, z0).sum().backward()
        probe.assert_flows("z0")

    @pytest.mark.gradprobe(leaf="z0")
    def test_my_sampler_as_a_whole(): ...

A test that fails in another way, say because `backward` raised, gets the diagnosis as a section of
its report.

pytest loads this module in every run: so it imports nothing but pytest and the names of errors, and
reads `[tool.gradprobe]` only for a test that asks for it. State is on `config.stash` and
`item.stash`. What a worker of pytest-xdist saw comes back as properties of its tests.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

if TYPE_CHECKING:
    from gradprobe.config import Config
    from gradprobe.records.report import Report
    from gradprobe.testing import ProbedTest
    from gradprobe.testing.asserting import Snapshots

FAIL_ON = ("error", "warning", "note", "never")
_SNAPSHOTS = "__gradprobe__"  # the folder beside the tests


class _Options(NamedTuple):
    every: bool
    report: Path | None
    fail_on: str
    update: bool


_OPTIONS: pytest.StashKey[_Options] = pytest.StashKey()
_SETTINGS: pytest.StashKey[Config] = pytest.StashKey()
# What the project allows and no report of the run had so far; absent until the first report.
_UNMATCHED: pytest.StashKey[frozenset[str]] = pytest.StashKey()
# Of a test: what its fixture or marker holds, what `--gradprobe` traces, and whether its failure
# is the diagnosis already.
_PROBED: pytest.StashKey[ProbedTest] = pytest.StashKey()
_TRACED: pytest.StashKey[ProbedTest] = pytest.StashKey()
_TOLD: pytest.StashKey[bool] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("gradprobe", "where the gradient of a test goes")
    group.addoption(
        "--gradprobe",
        action="store_true",
        dest="gradprobe_every",
        help="trace every test, and say of those that call backward what became of the gradient",
    )
    group.addoption(
        "--gradprobe-report",
        metavar="DIR",
        help="keep the reports of traced tests that fail in DIR, as JSON and pictures",
    )
    group.addoption(
        "--gradprobe-fail-on",
        choices=FAIL_ON,
        help="fail a test that is traced as a whole for a finding at least as severe",
    )
    group.addoption(
        "--gradprobe-update",
        action="store_true",
        help="write the snapshots of assert_matches_snapshot anew",
    )
    parser.addini("gradprobe", "as --gradprobe", type="bool", default=False)
    parser.addini("gradprobe_report", "as --gradprobe-report, from the root directory on")
    parser.addini("gradprobe_fail_on", "as --gradprobe-fail-on", default="never")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "gradprobe(leaf=None, root=None, through=None, stages=(), allow=(), denoiser=None, "
        "numerics=None): trace the whole test, and fail it when the gradient of a leaf is lost",
    )
    given, own = config.getoption("gradprobe_report"), config.getini("gradprobe_report")
    folder = config.invocation_params.dir / given if given else config.rootpath / own
    fail_on = config.getoption("gradprobe_fail_on") or config.getini("gradprobe_fail_on")
    if fail_on not in FAIL_ON:
        raise pytest.UsageError(
            f"gradprobe_fail_on is {fail_on!r}; it is one of {', '.join(FAIL_ON)}"
        )
    config.stash[_OPTIONS] = _Options(
        bool(config.getoption("gradprobe_every") or config.getini("gradprobe")),
        folder if given or own else None,
        fail_on,
        bool(config.getoption("gradprobe_update")),
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test with the marker has the fixture: its probe is the one that the marker starts."""
    for item in items:
        if item.get_closest_marker("gradprobe") is not None:
            names = getattr(item, "fixturenames", None)
            if names is not None and "gradprobe" not in names:
                names.append("gradprobe")


@pytest.fixture(name="gradprobe")
def _gradprobe(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[ProbedTest]:
    """A probe for this test: `start()`, then `records`, `report()`, `assert_flows(leaf, root)`.

    It is undone at the end of the test, also of one that fails. The picture of a lost gradient is
    written to the test's `tmp_path`. The nearest pyproject.toml with `[tool.gradprobe]`, from
    pytest's root directory upwards, has the defaults of `start`. A marker `gradprobe` has started
    it already.
    """
    kept = request.path.parent / _SNAPSHOTS / request.path.stem
    name = request.node.nodeid.partition("::")[2].replace("::", ".")
    snapshots = _snapshots(request.config, kept, name)
    probed = _probed(request.config, tmp_path, snapshots)
    request.node.stash[_PROBED] = probed
    yield probed
    _end(probed, request.config)


@pytest.fixture(scope="session")
def gradprobe_session(
    tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config
) -> Iterator[ProbedTest]:
    """A probe for fixtures that run once for many tests: start and stop it in one of them.

    The tests then ask it for records, or assert on it, as they would on `gradprobe`. While it is
    running no other probe can be.
    """
    snapshots = _snapshots(pytestconfig, pytestconfig.rootpath / _SNAPSHOTS, None)
    probed = _probed(pytestconfig, tmp_path_factory.mktemp("gradprobe"), snapshots)
    yield probed
    _end(probed, pytestconfig)


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Trace the test as a whole where its marker or `--gradprobe` asks for it, and judge it."""
    __tracebackhide__ = True
    options, marker = item.config.stash[_OPTIONS], item.get_closest_marker("gradprobe")
    begun = _begin(item, marker) if options.every or marker is not None else None
    if begun is None:
        return (yield)
    probed, judge = begun
    try:
        result = yield
    finally:
        probed.stop(getattr(item, "funcargs", None))
    own = item.stash.get(_PROBED, None)
    _judge(item, judge, own if own is not None and own.started else probed)
    return result


def _begin(
    item: pytest.Item, marker: pytest.Mark | None
) -> tuple[ProbedTest, Callable[[ProbedTest], None] | None] | None:
    """What records the test from now on and what it has to hold; None where a probe runs."""
    from gradprobe.errors import UsageError
    from gradprobe.testing.traced_test import asked

    own = item.stash.get(_PROBED, None)
    if marker is None:
        if own is not None and own.running:
            return None
        traced = item.stash[_TRACED] = _probed(item.config, None, None)
        try:
            return traced.start(gives_way=True), None
        except UsageError:  # a probe of the session, or of the program's own
            return None
    probed = _probed(item.config, None, None) if own is None else own  # the fixture is overridden
    try:
        wanted = asked(marker.args, marker.kwargs)
        wanted.start(probed)
    except UsageError as error:
        raise pytest.fail.Exception(str(error), pytrace=False) from None
    return probed, wanted.judge


def _judge(
    item: pytest.Item, judge: Callable[[ProbedTest], None] | None, probed: ProbedTest
) -> None:
    from gradprobe.errors import GradientLost
    from gradprobe.testing.traced_test import refuse

    options = item.config.stash[_OPTIONS]
    try:
        if judge is not None:
            judge(probed)
        if options.fail_on != "never" and probed.saw_backward:
            refuse(probed.report(), options.fail_on, _folder(item))
    except GradientLost as error:
        item.stash[_TOLD] = True
        raise pytest.fail.Exception(str(error), pytrace=False) from None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Put the diagnosis beside a failure that does not tell it itself, and keep its report."""
    report = yield
    own, traced = item.stash.get(_PROBED, None), item.stash.get(_TRACED, None)
    probed = own if own is not None and (own.started or traced is None) else traced
    if probed is None or not (report.failed or report.when == "call"):
        return report
    if report.failed and not _tells(item, call) and (lines := probed.explain()):
        report.sections.append(("gradprobe", "\n".join(lines)))
    if probed is traced or report.failed or probed.latest is not None:
        facts, kept = _facts(item, probed, report.failed)
        if kept:
            report.sections.append(("gradprobe report", "\n".join(kept)))
        report.user_properties += facts
        item.user_properties += facts  # JUnit's XML takes those of the teardown
    if traced is not None:
        _end(traced, item.config)
    return report


def _tells(item: pytest.Item, call: pytest.CallInfo[None]) -> bool:
    from gradprobe.errors import GradientLost

    lost = call.excinfo is not None and call.excinfo.errisinstance(GradientLost)
    return lost or item.stash.get(_TOLD, False)


def _facts(
    item: pytest.Item, probed: ProbedTest, failed: bool
) -> tuple[list[tuple[str, str]], list[str]]:
    """The properties of a traced test, and what was kept of one that failed."""
    from gradprobe.testing import traced_test

    try:
        if not probed.saw_backward:
            return [], []
        report: Report = probed.report()
    except Exception as fault:  # tracing a test that did not ask for it must not break it
        return [(traced_test.FAULT, " ".join(f"{type(fault).__name__}: {fault}".split()))], []
    facts = [*traced_test.properties(report, item.config.rootpath)]
    folder = _folder(item) if failed else None
    kept = [] if folder is None else traced_test.keep(report, folder)
    return [*facts, *((traced_test.KEPT, str(folder)) for _ in kept[:1])], kept


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """What became of the gradient in the tests, and what is allowed and was found nowhere."""
    if config.stash[_OPTIONS].every:
        from gradprobe.testing.traced_test import summary

        seen = [one for found in terminalreporter.stats.values() for one in found]
        calls = {id(one): one for one in seen if getattr(one, "when", None) == "call"}
        terminalreporter.section("gradprobe")
        for line in summary((one.nodeid, one.user_properties) for one in calls.values()):
            terminalreporter.write_line(line)
    left = config.stash.get(_UNMATCHED, frozenset())
    if left:
        entries = ", ".join(sorted(left))
        terminalreporter.write_line(
            f"gradprobe: no test of this run had what is allowed: {entries}"
        )


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A worker of pytest-xdist sends what it found nowhere."""
    output = getattr(session.config, "workeroutput", None)
    left = session.config.stash.get(_UNMATCHED, None)
    if output is not None and left is not None:
        output["gradprobe_unmatched"] = sorted(left)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    sent = getattr(node, "workeroutput", {}).get("gradprobe_unmatched")
    if sent is not None:
        _lacks(node.config, frozenset(sent))


def _lacks(config: pytest.Config, entries: frozenset[str]) -> None:
    config.stash[_UNMATCHED] = config.stash.get(_UNMATCHED, entries) & entries


def _end(probed: ProbedTest, config: pytest.Config) -> None:
    probed.stop()
    if probed.unmatched is not None:
        _lacks(config, frozenset(map(str, probed.unmatched)))


def _probed(config: pytest.Config, folder: Path | None, snapshots: Snapshots | None) -> ProbedTest:
    from gradprobe.testing import ProbedTest

    differ = partial(_difference, config)
    return ProbedTest(folder, _settings(config), differ=differ, snapshots=snapshots)


def _settings(config: pytest.Config) -> Config:
    if _SETTINGS not in config.stash:
        from gradprobe.config import nearest
        from gradprobe.errors import UsageError

        try:
            config.stash[_SETTINGS] = nearest(config.rootpath, shared=True)
        except UsageError as error:
            raise pytest.fail.Exception(str(error), pytrace=False) from None
    return config.stash[_SETTINGS]


def _snapshots(config: pytest.Config, folder: Path, name: str | None) -> Snapshots:
    from gradprobe.testing.asserting import Snapshots

    update = config.stash[_OPTIONS].update
    return Snapshots(folder, name, update, config.rootpath)


def _difference(config: pytest.Config, left: object, right: object) -> list[str]:
    """As pytest shows it where `left == right` was asserted."""
    compare = config.hook.pytest_assertrepr_compare
    shown = [lines for lines in compare(config=config, op="==", left=left, right=right) if lines]
    return list(shown[0]) if shown else []


def _folder(item: pytest.Item) -> Path | None:
    """Where the report of this test is kept."""
    from gradprobe.testing.file_names import own_name

    folder = item.config.stash[_OPTIONS].report
    return None if folder is None else folder / own_name(item.nodeid)
