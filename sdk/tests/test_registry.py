"""Discovery against real distributions: a module and a dist-info folder on the path for each."""

from __future__ import annotations

import importlib
import itertools
import json
import subprocess
import sys
from dataclasses import FrozenInstanceError
from pathlib import Path

import numpy as np
import pytest

from verticals import plugin, registry
from verticals.contract import draft_contract
from verticals.errors import PluginError
from verticals.registry import Found, Problem, Registry, rules
from verticals.table import Table

GOOD = """
from verticals.plugin import SolutionInfo, hookimpl

@hookimpl
def verticals_solutions():
    return [SolutionInfo(name="good", api_version=1, state_version=1, target="{module}:SOLUTION")]
"""
_serial = itertools.count()


class Site:
    """A folder on `sys.path` into which plugins are installed for one test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.modules: list[str] = []

    def install(
        self, distribution: str, code: str, *, entry: str = "", group: str = "verticals"
    ) -> str:
        """Write a module and the metadata of a distribution; return the module's name."""
        module = f"plugin_{next(_serial)}_{distribution.replace('-', '_')}"
        self.modules.append(module)
        (self.folder / f"{module}.py").write_text(code.replace("{module}", module))
        value = entry.replace("{module}", module) or module
        self.metadata(distribution, f"[{group}]\n{distribution}-entry = {value}\n")
        importlib.invalidate_caches()
        return module

    def metadata(self, distribution: str, entry_points: str) -> None:
        """Write a dist-info folder."""
        folder = self.folder / f"{distribution.replace('-', '_')}-2.5.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 2.5\n"
        )
        (folder / "entry_points.txt").write_text(entry_points)


@pytest.fixture
def site(tmp_path, monkeypatch):
    """Give an empty folder on the path, with one plugin that works."""
    monkeypatch.syspath_prepend(str(tmp_path))
    place = Site(tmp_path)
    place.install("acme-good", GOOD)
    yield place
    for module in place.modules:
        sys.modules.pop(module, None)


def found_by(distribution: str) -> list[str]:
    """Discover, hold the good plugin to be served, and name what a distribution offers."""
    found = registry.discover()
    assert "good" in [item.info.name for item in found.solutions]
    return [item.info.name for item in found.solutions if item.distribution == distribution]


def problem_of(distribution: str) -> Problem:
    """Discover, hold the good plugin to be served, and return a distribution's one problem."""
    found = registry.discover()
    assert "good" in [item.info.name for item in found.solutions]
    problems = [item for item in found.problems if item.distribution == distribution]
    assert len(problems) == 1, found.problems
    assert problems[0].hint
    assert "\n" not in problems[0].message
    if not problems[0].served:
        assert distribution not in [item.distribution for item in found.solutions]
    return problems[0]


def test_a_good_plugin_is_served_with_its_distribution_and_version(site):
    (found,) = [item for item in registry.discover().solutions if item.info.name == "good"]
    assert (found.distribution, found.version) == ("acme-good", "2.5")
    assert found.info.target.endswith(":SOLUTION")
    assert not [item for item in registry.discover().problems if item.distribution == "acme-good"]


def test_discovery_is_a_frozen_value_and_keeps_nothing(site):
    first = registry.discover()
    with pytest.raises(FrozenInstanceError):
        first.solutions = ()
    site.install("acme-late", solution_hook("    return [INFO]"))
    assert "odd" not in [item.info.name for item in first.solutions]
    assert found_by("acme-late") == ["odd"]


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("raise ValueError('no licence\\nfound')", "ValueError: no licence found"),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
        ("def f(): f()\nf()", "RecursionError"),
        ("class Panic(BaseException): pass\nraise Panic('rust')", "Panic: rust"),
        ("def (:", "SyntaxError"),
        ("class E(Exception):\n  def __str__(self): raise OSError\nraise E", "E: <exception str()"),
        ("raise RuntimeError('x' * 5000)", "RuntimeError: xxx"),
    ],
)
def test_whatever_a_plugin_raises_at_import_is_a_problem(site, code, message):
    module = site.install("acme-broken", code)
    problem = problem_of("acme-broken")
    assert message in problem.message
    assert len(problem.message) < 500
    assert problem.name == "acme-broken-entry"
    assert module in problem.hint


def test_the_place_of_an_exception_is_named(site):
    module = site.install("acme-broken", "x = 1\n\nraise ValueError('here')")
    assert f"({module}.py, line 3)" in problem_of("acme-broken").message


def test_an_interrupt_by_the_user_is_no_problem_of_a_plugin(site):
    site.install("acme-slow", "raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        registry.discover()


def solution_hook(body: str) -> str:
    return (
        "from verticals.plugin import SolutionInfo, hookimpl\n"
        'INFO = SolutionInfo(name="odd", api_version=1, state_version=1, target="{module}:S")\n'
        f"@hookimpl\ndef verticals_solutions():\n{body}"
    )


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("    return", "verticals_solutions returned None"),
        ("    return INFO", "'SolutionInfo' object is not iterable"),
        ("    return 'abc'", "verticals_solutions returned str, expected SolutionInfo"),
        ("    return [INFO, object()]", "returned object, expected SolutionInfo"),
        ("    return 7", "'int' object is not iterable"),
        ("    yield INFO\n    raise OSError('midway')", "OSError: midway"),
        ("    raise SystemExit", "SystemExit"),
        ("    return [SolutionInfo(name='odd')]", "missing 3 required keyword-only arguments"),
    ],
)
def test_a_hook_that_returns_garbage_is_a_problem_and_offers_nothing(site, body, message):
    site.install("acme-garbage", solution_hook(body))
    assert message in problem_of("acme-garbage").message


def test_a_misspelt_hook_is_a_problem_that_names_the_right_ones(site):
    site.install("acme-typo", GOOD.replace("verticals_solutions", "verticals_soltuions"))
    problem = problem_of("acme-typo")
    assert "verticals_soltuions" in problem.message
    assert "verticals_solutions" in problem.hint


def test_a_hook_with_an_unknown_argument_is_a_problem(site):
    site.install("acme-argument", GOOD.replace("solutions()", "solutions(config)"))
    assert "config" in problem_of("acme-argument").message


def test_a_hook_without_its_decorator_is_a_problem(site):
    site.install("acme-bare", GOOD.replace("@hookimpl\n", ""))
    problem = problem_of("acme-bare")
    assert problem.message == "verticals_solutions lacks the decorator @hookimpl"
    assert problem.hint == "from verticals.plugin import hookimpl"


def test_a_plugin_without_a_hook_is_a_problem(site):
    site.install("acme-empty", "")
    assert problem_of("acme-empty").message == "it has no hook"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ("name='Credit Scoring'", "name 'Credit Scoring' is not of the form credit-scoring"),
        ("name=3", "name 3 is not"),
        ("state_version=0", "state_version is 0"),
        ("state_version='1'", "state_version is '1'"),
        ("readable_state_versions=1", "readable_state_versions is 1, expected a tuple"),
        ("target='acme.solution'", "target 'acme.solution' is not of the form"),
        ("target='acme solution:S'", "is not of the form package.module:NAME"),
        ("target='acme:S()'", "is not of the form package.module:NAME"),
        ("target=None", "target None is not of the form"),
        ("offers=frozenset({'atributions'})", "offers atributions, expected some of attributions"),
        ("offers='private'", "offers is 'private', expected a frozenset"),
        ("requirements='many rows'", "requirements is 'many rows', expected a tuple"),
        ("options=('width',)", "expected only OptionInfo"),
        (
            "options=(OptionInfo(name='w', default=1, help=''),) * 2",
            "option 'w' is declared 2 times",
        ),
        (
            "options=(OptionInfo(name='w', default=1, help='', choices=(2, 3)),)",
            "option 'w' has the default 1",
        ),
        ("drafter='acme.draft'", "drafter 'acme.draft' is not of the form package.module:NAME"),
        ("summary=None", "summary is None"),
        ("not_for=7", "not_for is 7"),
    ],
)
def test_a_wrong_description_is_a_problem(site, changes, message):
    code = (
        "from verticals.plugin import OptionInfo, SolutionInfo, hookimpl\n"
        "@hookimpl\ndef verticals_solutions():\n"
        "    given = dict(name='odd', api_version=1, state_version=1, target='{module}:S')\n"
        f"    return [SolutionInfo(**{{**given, **dict({changes})}})]\n"
    )
    site.install("acme-wrong", code)
    problem = problem_of("acme-wrong")
    assert message in problem.message
    assert problem.hint == "correct SolutionInfo in acme-wrong"


def test_everything_wrong_with_a_description_is_said_at_once(site):
    code = GOOD.replace('name="good"', 'name="odd!"').replace("state_version=1", "state_version=-1")
    site.install("acme-wrong", code)
    assert problem_of("acme-wrong").message.count(";") == 1


def test_a_wrong_description_takes_only_itself_down(site):
    code = solution_hook("    return [INFO, SolutionInfo(**{**vars(INFO), 'name': 'NO'})]")
    site.install("acme-half", code)
    found = registry.discover()
    assert found_by("acme-half") == ["odd"]
    assert [item.name for item in found.problems if item.distribution == "acme-half"] == ["NO"]


@pytest.mark.parametrize(
    ("version", "upgrade"),
    [("2", "verticals-sdk"), ("0", "acme-old"), ("'1'", "acme-old"), ("True", "acme-old")],
)
def test_another_version_of_the_interface_is_a_problem(site, version, upgrade):
    site.install("acme-old", GOOD.replace("api_version=1", f"api_version={version}"))
    problem = problem_of("acme-old")
    assert "this verticals-sdk speaks 1" in problem.message
    assert problem.hint == f"pip install --upgrade {upgrade}"


def test_the_version_before_is_still_served(site, monkeypatch):
    site.install("acme-odd", solution_hook("    return [INFO]"))
    monkeypatch.setattr(rules, "_SPOKEN", 2)
    assert found_by("acme-odd") == ["odd"]
    monkeypatch.setattr(rules, "_SPOKEN", 3)
    problems = {item.distribution: item.message for item in registry.discover().problems}
    assert problems["acme-odd"] == "api_version is 1, this verticals-sdk speaks 2 or 3"


def test_a_plugin_that_sets_the_version_changes_nothing_for_others(site, monkeypatch):
    monkeypatch.setattr(plugin, "API_VERSION", plugin.API_VERSION)  # put back what is set below
    code = GOOD.replace('"good"', '"odd"')
    site.install("a-early", f"import verticals.plugin as p; p.API_VERSION = 7\n{code}")
    assert found_by("a-early") == ["odd"]  # and the good one is served
    assert plugin.API_VERSION == 7  # else the test shows nothing


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ("default=[1]", "option 'a' has the value [1], expected text, numbers"),
        ("default=1, private_default={}", "option 'a' has the value {}"),
        ("default=1, choices='12'", "option 'a' has choices '12', no tuple"),
        ("default=3, choices=(1, 2)", "option 'a' has the default 3, no choice of it"),
    ],
)
def test_an_option_that_no_command_line_can_give_is_named(site, option, told):
    options = f"(OptionInfo(name='a', help='h', {option}),)"
    code = GOOD.replace("api_version=1", f"api_version=1, options={options}")
    code = code.replace('"good"', '"odd"')
    site.install("acme-odd", f"from verticals.plugin import OptionInfo\n{code}")
    problem = problem_of("acme-odd")
    assert told in problem.message
    assert "unhashable" not in problem.message


def test_a_name_that_two_plugins_claim_is_served_for_neither(site):
    site.install("acme-one", solution_hook("    return [INFO]"))
    site.install("acme-two", solution_hook("    return [INFO]"))
    one, two = problem_of("acme-one"), problem_of("acme-two")
    assert "acme-two" in one.message
    assert "acme-one" in two.message
    assert one.name == two.name == "odd"
    assert "pip uninstall" in one.hint
    with pytest.raises(PluginError, match=r"is not served: .*also offered by"):
        registry.find(registry.discover(), "odd")


def test_a_name_that_one_plugin_offers_twice_is_not_served(site):
    site.install("acme-twice", solution_hook("    return [INFO, INFO]"))
    assert "offered 2 times" in problem_of("acme-twice").message


def test_a_description_that_is_not_served_claims_no_name(site):
    site.install("acme-future", GOOD.replace("api_version=1", "api_version=9"))
    assert problem_of("acme-future").name == "good"


@pytest.mark.parametrize(
    ("missing", "hint"),
    [
        ("torchvision.nowhere", "pip install 'verticals-sdk[vision]'"),
        ("opacus.nowhere", "pip install 'verticals-sdk[torch]'"),
        ("acme_absent.deep", "pip install acme-lacking, which installs what it declares"),
    ],
)
def test_a_missing_dependency_names_what_to_install(site, missing, hint, monkeypatch):
    monkeypatch.setitem(sys.modules, missing.partition(".")[0], None)
    site.install("acme-lacking", f"import {missing}")
    problem = problem_of("acme-lacking")
    assert "ModuleNotFoundError" in problem.message
    assert problem.hint.startswith(hint)


def test_an_entry_point_whose_module_is_absent_asks_for_a_new_install(site):
    site.install("acme-lost", "", entry="acme_lost_nowhere.plugin")
    assert problem_of("acme-lost").hint == "pip install --force-reinstall acme-lost"


@pytest.mark.parametrize("entry", ["not a module", "{module}:", "9lives"])
def test_a_malformed_entry_point_is_a_problem(site, entry):
    site.install("acme-form", GOOD, entry=entry)
    assert "is not of the form package.module" in problem_of("acme-form").message


def test_an_entry_point_may_name_an_object(site):
    code = (
        "from verticals.plugin import SolutionInfo, hookimpl\n"
        "class Plugin:\n"
        "    @hookimpl\n"
        "    def verticals_solutions(self):\n"
        "        yield SolutionInfo(name='odd', api_version=1, state_version=1, target='a:S')\n"
        "plugin = Plugin()\n"
    )
    site.install("acme-object", code, entry="{module}:plugin")
    assert found_by("acme-object") == ["odd"]


def test_damaged_metadata_are_a_problem_and_others_go_on(site):
    (site.folder / "ruined-1.dist-info").mkdir()
    (site.folder / "ruined-1.dist-info" / "entry_points.txt").write_bytes(b"[verticals]\n\xff\xfe")
    (site.folder / "emptied-1.dist-info").mkdir()
    found = registry.discover()
    assert "good" in [item.info.name for item in found.solutions]
    (problem,) = [item for item in found.problems if "metadata" in item.message]
    assert str(site.folder) in problem.distribution


def test_a_shadowed_distribution_is_no_duplicate(site, tmp_path, monkeypatch):
    other = tmp_path / "other"
    other.mkdir()
    monkeypatch.syspath_prepend(str(other))
    second = Site(other)
    second.install("acme_good", GOOD)
    site.modules += second.modules
    (found,) = [item for item in registry.discover().solutions if item.info.name == "good"]
    assert found.info.target.startswith(second.modules[0])


def test_a_heavy_import_is_named_and_the_plugin_served(site, monkeypatch):
    (site.folder / "shap").mkdir()
    (site.folder / "shap" / "__init__.py").write_text("")
    monkeypatch.delitem(sys.modules, "shap", raising=False)
    site.install("acme-heavy", "import shap\n" + solution_hook("    return [INFO]"))
    problem = problem_of("acme-heavy")
    monkeypatch.delitem(sys.modules, "shap")
    assert problem.served
    assert "imports shap" in problem.message
    assert found_by("acme-heavy") == ["odd"]
    assert registry.find(registry.discover(), "odd").distribution == "acme-heavy"


def test_what_was_imported_before_is_blamed_on_nobody(site, monkeypatch):
    monkeypatch.setitem(sys.modules, "shap", sys)
    site.install("acme-heavy", "import shap\n" + solution_hook("    return [INFO]"))
    assert "acme-heavy" not in [item.distribution for item in registry.discover().problems]


def test_what_a_plugin_prints_does_not_reach_stdout(site, capsys):
    code = "print('loading')\n" + solution_hook("    print('asked')\n    yield INFO")
    site.install("acme-loud", code.replace("    yield", "    print('again')\n    yield"))
    assert found_by("acme-loud") == ["odd"]
    out, err = capsys.readouterr()
    assert out == ""
    assert [line for line in err.splitlines() if line] == ["loading", "asked", "again"]


def test_checks_and_report_formats_are_found(site):
    code = (
        "from verticals.plugin import AuditCheckInfo, ReportFormatInfo, hookimpl\n"
        "@hookimpl\ndef verticals_audit_checks():\n"
        "    yield AuditCheckInfo(name='score-bands', target='{module}:check', needs=('scores',))\n"
        "    yield AuditCheckInfo(name='bad', target='{module}:check', needs=('scores'))\n"
        "    yield AuditCheckInfo(name='b', target='{module}:check', needs=(), rules=('x',))\n"
        "@hookimpl\ndef verticals_report_formats():\n"
        "    yield ReportFormatInfo(name='rtf', target='{module}:render')\n"
        "    yield ReportFormatInfo(name='.rtf', target='{module}:VALUE')\n"
        "def check(tables, info): return []\n"
        "def render(document): return b'rtf'\n"
        "VALUE = 3\n"
    )
    site.install("acme-audit", code)
    found = registry.discover()
    (check,) = [item for item in found.checks if item.distribution == "acme-audit"]
    (form,) = [item for item in found.report_formats if item.distribution == "acme-audit"]
    assert registry.load_check(check)({}, None) == []
    assert registry.load_report_format(form)({}) == b"rtf"
    problems = {item.name: item.message for item in found.problems}
    assert problems["bad"] == "needs is 'scores', expected a tuple"
    assert "expected only Mapping" in problems["b"]
    assert "is not of the form html" in problems[".rtf"]


# find and load


def info(target: str) -> Found[plugin.SolutionInfo]:
    return Found(
        info=plugin.SolutionInfo(name="odd", api_version=1, state_version=1, target=target),
        distribution="acme-odd",
        version="2.5",
    )


def test_find_offers_the_nearest_names():
    found = Registry(solutions=(info("a:S"),))
    with pytest.raises(PluginError, match="'ood' is not installed, expected odd") as error:
        registry.find(found, "ood")
    assert error.value.hint == "verticals list"
    with pytest.raises(PluginError, match="nor is any other"):
        registry.find(Registry(), "odd")
    assert registry.find(found, "odd") is found.solutions[0]


def test_a_solution_whose_plugin_is_broken_is_said_to_be_installed():
    broken = Problem(distribution="verticals-ood", name="entry", message="fails", hint="mend it")
    found = Registry(solutions=(info("a:S"),), problems=(broken,))
    with pytest.raises(PluginError, match="'ood' of verticals-ood is not served: fails") as error:
        registry.find(found, "ood")
    assert error.value.hint == "mend it"
    with pytest.raises(PluginError, match="'new' is not installed") as error:
        registry.find(found, "new")
    assert "not served is what verticals-ood offers" in error.value.hint
    with pytest.raises(PluginError, match="'new' of verticals-ood is not served: fails"):
        registry.refuse_unserved(found, "new", "Verticals_ood")


def test_a_problem_that_stops_nothing_does_not_explain_an_absence():
    slow = Problem(distribution="acme", name="ood", message="is slow", hint="-", served=True)
    with pytest.raises(PluginError, match="'ood' is not installed, expected odd"):
        registry.find(Registry(solutions=(info("a:S"),), problems=(slow,)), "ood")


SOLUTIONS = """
from verticals.plugin import TorchSolution

class Escape:
    def demo(self): ...
    def fit(self, parts, setup): ...
    def load(self, state, setup): ...
    def evidence(self, model, parts): ...

class Half:
    def demo(self): ...
    def fit(self, parts, setup): ...

class Space:
    solution = Escape()

ESCAPE, HALF, TORCH = Escape(), Half(), TorchSolution(demo=None, network=None)
print("noise")
"""


def test_load_imports_on_first_use_and_returns_the_solution(site, capsys):
    module = site.install("acme-load", SOLUTIONS)
    assert module not in sys.modules
    assert registry.load(info(f"{module}:ESCAPE")) is sys.modules[module].ESCAPE
    assert registry.load(info(f"{module}:TORCH")) is sys.modules[module].TORCH
    assert registry.load(info(f"{module}:Space.solution")) is sys.modules[module].Space.solution
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("HALF", "is Half, expected a TorchSolution, or a Solution, which also has load, evidence"),
        ("Escape", "is the class Escape, expected an instance"),
        ("ABSENT", "AttributeError: module .* has no attribute 'ABSENT'"),
        ("Space.absent", "AttributeError: .* has no attribute 'absent'"),
    ],
)
def test_load_refuses_what_is_no_solution(site, name, message):
    module = site.install("acme-load", SOLUTIONS)
    with pytest.raises(PluginError, match=message) as error:
        registry.load(info(f"{module}:{name}"))
    assert error.value.hint


def test_load_without_torch_says_what_to_install(site, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    module = site.install("acme-load", "import torch.nn")
    with pytest.raises(PluginError, match="cannot be loaded: ModuleNotFoundError") as error:
        registry.load(info(f"{module}:SOLUTION"))
    assert error.value.hint == "pip install 'verticals-sdk[torch]'"


def test_load_survives_an_exit_of_the_target(site):
    module = site.install("acme-load", "raise SystemExit(0)")
    with pytest.raises(PluginError, match="SystemExit: 0"):
        registry.load(info(f"{module}:SOLUTION"))


@pytest.mark.parametrize("text", ["os", "os:", ":path", "os:path:join", "os path:x", "os.:x", ""])
def test_a_target_of_another_form_is_refused(text):
    with pytest.raises(PluginError, match=r"is not of the form package\.module:NAME"):
        registry.load_target(text)


@pytest.mark.parametrize(("name", "kind"), [("HALF", "Half"), ("Escape", "type")])
def test_a_check_that_is_no_function_is_refused(site, name, kind):
    module = site.install("acme-load", SOLUTIONS)
    check = plugin.AuditCheckInfo(name="odd", target=f"{module}:{name}", needs=())
    with pytest.raises(PluginError, match=f"is {kind}, expected a function"):
        registry.load_check(Found(info=check, distribution="acme-load", version="1"))


DRAFTERS = """
from verticals.contract import Refined

def good(draft, raw, columns):
    print("noise")
    return Refined(contract=draft, findings=("look here",))

def failing(draft, raw, columns):
    return raw["no such column"]

def odd(draft, raw, columns):
    return draft
"""


def drafter(module: str, name: str) -> Found[plugin.SolutionInfo]:
    target = f"{module}:{name}"
    described = plugin.SolutionInfo(
        name="odd", api_version=1, state_version=1, target="a:S", drafter=target
    )
    return Found(info=described, distribution="acme-drafts", version="1")


def test_a_draft_is_refined_by_the_solution(site, capsys):
    module = site.install("acme-drafts", DRAFTERS)
    raw = Table({"colour": np.array(["red", "blue"], dtype=object)})
    assert registry.load_drafter(info("a:S")) is None
    made = draft_contract(raw, refine=registry.load_drafter(drafter(module, "good")))
    assert made.findings[-1] == "look here"
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("failing", "drafter of 'odd' failed: KeyError"),
        ("odd", "drafter of 'odd' returned DataContract, expected verticals.contract.Refined"),
    ],
)
def test_a_drafter_that_fails_is_a_problem_of_its_plugin(site, name, message):
    module = site.install("acme-drafts", DRAFTERS)
    raw = Table({"colour": np.array(["red", "blue"], dtype=object)})
    refine = registry.load_drafter(drafter(module, name))
    with pytest.raises(PluginError, match=message) as error:
        draft_contract(raw, refine=refine)
    assert error.value.hint


# commands


def test_commands_are_listed_without_loading(site):
    module = site.install(
        "acme-tool", "def run(): return 3", entry="{module}:run", group="verticals.commands"
    )
    entry = registry.commands()["acme-tool-entry"]
    assert module not in sys.modules
    assert registry.load_command(entry)() == 3
    registry.discover()
    assert not [item for item in registry.discover().problems if item.distribution == "acme-tool"]


def test_a_command_that_two_distributions_claim_is_left_out(site):
    for name in ("acme-one", "acme-two"):
        site.metadata(name, "[verticals.commands]\nshared = nowhere:run\n")
    assert "shared" not in registry.commands()
    assert "acme-two" in problem_of("acme-one").message
    assert problem_of("acme-two").name == "shared"


def test_a_command_that_cannot_be_loaded_says_why(site):
    site.install("acme-tool", "raise OSError('x')", group="verticals.commands")
    with pytest.raises(PluginError, match="command 'acme-tool-entry' cannot be loaded: OSError: x"):
        registry.load_command(registry.commands()["acme-tool-entry"])


def test_discovery_imports_nothing_heavy(site):
    code = (
        "import json, sys\n"
        "from verticals import registry\n"
        "found = registry.discover()\n"
        "print(json.dumps([len(found.solutions), "
        "sorted(registry.HEAVY_PACKAGES & sys.modules.keys())]))\n"
    )
    path = [str(site.folder), str(Path(plugin.__file__).parents[1])]
    run = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:0] = {path!r}\n{code}"],
        capture_output=True,
        text=True,
        check=True,
    )
    solutions, heavy = json.loads(run.stdout)
    assert solutions >= 1
    assert heavy == []
