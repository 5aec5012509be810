"""Write a new plugin: a whole small vertical that installs and passes its conformance tests."""

from __future__ import annotations

import importlib.util
import keyword
import re
import sys
from collections.abc import Mapping
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from string import Template

from verticals.errors import CallError, DataError
from verticals.plugin import API_VERSION

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")

# where a file goes -> its template; $module stands for the package
_FILES = {
    "pyproject.toml": "pyproject.toml",
    "README.md": "readme.md",
    "src/$module/__init__.py": "init.py",
    "src/$module/plugin.py": "plugin.py",
    "src/$module/solution.py": "solution.py",
    "src/$module/contract.yaml": "contract.yaml",
    "src/$module/py.typed": "py.typed",
    "tests/test_conformance.py": "test_conformance.py",
}


def scaffold(name: str, target: Path) -> list[Path]:
    """Write a plugin for a solution `name` into the new folder `target`; return its files.

    The plugin simulates its demo data, has a torch network of its own, and passes every
    conformance check as it is written.

    Raises `CallError` if the name is no solution name, or cannot be the name of a package, or if
    the folder exists; `DataError` if it cannot be written.
    """
    words = _words(name)
    if target.exists():
        raise CallError(
            f"{target} exists already, expected a folder to be made",
            hint=f"verticals new {name} --out another-folder",
        )
    written = []
    try:
        for place, text in _render(words).items():
            path = target / place
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            written.append(path)
    except OSError as error:
        raise DataError(
            f"{target} cannot be written: {error.strerror}",
            hint=f"verticals new {name} --out a-folder-of-yours",
        ) from error
    return written


def _words(name: str) -> Mapping[str, str]:
    """Return what the templates are filled with; refuse a name that cannot be a package's."""
    if not _NAME.fullmatch(name):
        raise CallError(
            f"the name {name!r} is not lower-case words joined by hyphens",
            hint="verticals new acme-churn",
        )
    module = name.replace("-", "_")
    taken = keyword.iskeyword(module) or module in sys.stdlib_module_names
    if taken or importlib.util.find_spec(module) is not None:
        raise CallError(
            f"the name {name!r} would make the package {module!r}, which is taken",
            hint=f"verticals new acme-{name}",
        )
    major, minor = map(int, version("verticals-sdk").split(".")[:2])
    return {
        "name": name,
        "module": module,
        "title": name.replace("-", " ").capitalize(),
        "api_version": str(API_VERSION),
        "sdk": f">={major}.{minor},<{major}.{minor + 1}",
    }


def _render(words: Mapping[str, str]) -> dict[str, str]:
    """Return the text of every file by its place in the new folder."""
    templates = files(__package__) / "template"
    return {
        Template(place).substitute(words): Template(
            (templates / f"{template}.txt").read_text(encoding="utf-8")
        ).substitute(words)
        for place, template in _FILES.items()
    }
