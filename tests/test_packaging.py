"""The distributions as others get them: built, installed without their sources, and run."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
MEMBERS = (
    "sdk",
    "compliance",
    "plugins/credit-scoring",
    "plugins/fraud-detection",
    "plugins/medical-imaging",
    "plugins/student-assessment",
)
BUILD = "import sys; from flit_core.buildapi import build_wheel; print(build_wheel(sys.argv[1]))"


def project(member: str) -> dict[str, Any]:
    """Return the `[project]` table of a member."""
    return tomllib.loads((ROOT / member / "pyproject.toml").read_text())["project"]


def declared(member: str) -> list[Requirement]:
    """Return every requirement of a member, extras included."""
    table = project(member)
    extras = table.get("optional-dependencies", {}).values()
    return [Requirement(text) for group in (table["dependencies"], *extras) for text in group]


# what is declared


def pins() -> dict[str, list[Requirement]]:
    """Return the lines of constraints.txt by normalized name."""
    found: dict[str, list[Requirement]] = {}
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            requirement = Requirement(line)
            found.setdefault(canonicalize_name(requirement.name), []).append(requirement)
    return found


def wanted() -> list[str]:
    """Return the requirements of requirements-dev.txt; a member by its name and extras."""
    found = []
    for line in (ROOT / "requirements-dev.txt").read_text().splitlines():
        member = re.fullmatch(r"-e \./([\w/-]+)(\[.*\])?", line)
        if member:
            found.append(project(member[1])["name"] + (member[2] or ""))
        elif line and not line.startswith(("#", "-c ")):
            found.append(line)
    return found


def closure(texts: list[str]) -> set[str]:
    """Return the names that requirements pull in on this machine, by what is installed."""
    seen: set[tuple[str, str]] = set()
    todo = [Requirement(text) for text in texts]
    while todo:
        requirement = todo.pop()
        name = canonicalize_name(requirement.name)
        for extra in {"", *requirement.extras} - {extra for at, extra in seen if at == name}:
            seen.add((name, extra))
            needs = [Requirement(text) for text in metadata.requires(name) or []]
            todo += [
                need
                for need in needs
                if need.marker is None or need.marker.evaluate({"extra": extra})
            ]
    return {name for name, _ in seen}


def test_members_declare_ranges():
    for member in MEMBERS:
        for requirement in declared(member):
            operators = {item.operator for item in requirement.specifier}
            assert ">=" in operators, f"{member}: {requirement} has no lower bound"
            assert not operators & {"==", "===", "~="}, f"{member}: {requirement} is pinned"


def test_no_distribution_needs_torch_unless_an_extra_or_a_plugin_asks():
    for member in ("sdk", "compliance"):
        needs = {Requirement(text).name for text in project(member)["dependencies"]}
        assert not needs & {"torch", "torchvision", "opacus", "shap", "transformers"}


def test_constraints_hold_exact_versions_and_no_addresses():
    for requirement in (item for group in pins().values() for item in group):
        assert re.fullmatch(r"==[^,*]+", str(requirement.specifier)), requirement
        assert requirement.url is None


def test_constraints_cover_both_processors():
    for name in ("torch", "torchvision"):
        for machine in ("x86_64", "aarch64"):
            held = [
                item
                for item in pins()[name]
                if item.marker is not None
                and item.marker.evaluate({"platform_machine": machine, "extra": ""})
            ]
            assert len(held) == 1, f"{name} on {machine}"


def test_everything_that_the_tests_run_on_is_pinned_to_what_is_installed():
    members = {project(member)["name"] for member in MEMBERS}
    cuda = re.compile(r"nvidia-|cuda-|triton")  # torch pins its own
    needed = {name for name in closure(wanted()) - members if not cuda.match(name)}
    assert needed
    held = pins()
    assert sorted(needed - held.keys()) == [], "missing in constraints.txt"
    for name in needed:
        (pin,) = [item for item in held[name] if item.marker is None or item.marker.evaluate()]
        assert pin.specifier.contains(metadata.version(name), prereleases=True), pin


def test_the_members_share_licence_and_version():
    assert len({project(member)["version"] for member in MEMBERS}) == 1
    for member in MEMBERS:
        assert (ROOT / member / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()


# what is built


@pytest.fixture(scope="module")
def wheels(tmp_path_factory):
    """Build the wheel of every member."""
    out = tmp_path_factory.mktemp("wheels")
    for member in MEMBERS:
        build = [sys.executable, "-c", BUILD, str(out)]
        subprocess.run(build, cwd=ROOT / member, check=True, timeout=60)
    return sorted(out.glob("*.whl"))


def test_a_wheel_holds_its_package_whole_and_nothing_else(wheels):
    packages = []
    for wheel in wheels:
        names = set(zipfile.ZipFile(wheel).namelist())
        (package,) = {name.partition("/")[0] for name in names if ".dist-info/" not in name}
        (source,) = [path for member in MEMBERS for path in ROOT.glob(f"{member}/src/{package}")]
        files = [path for path in source.rglob("*") if path.is_file()]
        inside = {
            path.relative_to(source.parent).as_posix()
            for path in files
            if "__pycache__" not in path.parts
        }
        assert {name for name in names if ".dist-info/" not in name} == inside
        assert f"{package}/py.typed" in names
        assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)
        packages.append(package)
    assert packages == [
        "verticals_compliance",
        "verticals_credit_scoring",
        "verticals_fraud_detection",
        "verticals_medical_imaging",
        "verticals",
        "verticals_student_assessment",
    ]


# what is installed


@pytest.fixture(scope="module")
def installed(wheels, tmp_path_factory):
    """Install the wheels without dependencies over the third-party packages of this environment.

    Return a function that runs the installed command.
    """
    folder = tmp_path_factory.mktemp("installed")
    bare = {name: text for name, text in os.environ.items() if not name.startswith("PYTHON")}
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True)
    python = folder / "venv" / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet"]
    subprocess.run(
        [*pip, "--no-deps", "--no-index", "--disable-pip-version-check", *wheels],
        check=True,
        timeout=120,
    )
    (site,) = (folder / "venv").glob("lib/python*/site-packages")
    # A .pth inside that folder is not followed, so no editable member comes along.
    (site / "third-party.pth").write_text(sysconfig.get_path("purelib") + "\n")

    def run(*arguments: object, codes: tuple[int, ...] = (0,)) -> str:
        done = subprocess.run(
            [folder / "venv" / "bin" / "verticals", *map(str, arguments)],
            cwd=folder,
            env={**bare, "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            check=False,
            timeout=280,
        )
        assert done.returncode in codes, done.stderr
        return done.stdout

    imported = subprocess.run(
        [python, "-c", "import verticals, verticals_compliance as c; print(verticals, c)"],
        cwd=folder,
        env=bare,
        capture_output=True,
        text=True,
        check=True,
    )
    assert imported.stdout.count(str(site)) == 2
    return run


def test_the_installed_command_lists_the_plugin(installed):
    listed = json.loads(installed("list", "--json"))
    assert listed["problems"] == []
    (credit,) = [item for item in listed["solutions"] if item["name"] == "credit-scoring"]
    version = project("plugins/credit-scoring")["version"]
    assert (credit["distribution"], credit["version"]) == ("verticals-credit-scoring", version)
    assert installed("--version").split()[-1] == project("sdk")["version"]


@pytest.mark.slow
def test_the_installed_plugin_passes_its_conformance_checks(installed):
    assert json.loads(installed("check", "credit-scoring", "--json"))["failed"] == 0


@pytest.mark.slow
def test_the_installed_commands_train_audit_and_report(installed, tmp_path):
    bundle, audit = tmp_path / "bundle", tmp_path / "audit"
    installed("train", "credit-scoring", "--no-privacy", "--out", bundle)
    installed("verify", bundle)
    installed("audit", bundle, "--out", audit, codes=(0, 1, 3))
    assert json.loads((audit / "audit.json").read_text())["bundle"]["solution"] == "credit-scoring"
    for ending in ("html", "md", "json"):
        installed("report", audit, "--out", tmp_path / f"report.{ending}")
        assert (tmp_path / f"report.{ending}").stat().st_size > 1000
    installed("verify", audit, "--bundle", bundle)
