"""The code blocks of README and docs are run, page by page, in order, in an empty folder.

A block ```bash runs under `bash -e`, a block ```python in a fresh interpreter, both with the
environment of the tests. `expect=0,1,3` in the info string names the exit codes that will do.
Commands that set the project up (`make …`) are not run but looked up in the Makefile. Indented
blocks show output or an outline, and are not run.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = sorted(
    [
        ROOT / "README.md",
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "plugins").glob("*/README.md"),
        *(ROOT / "examples").rglob("README.md"),
    ]
)
BLOCK = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)#]+)(?:#[^)]*)?\)")
LANGUAGES = {"bash", "python"}


def blocks(page):
    return [found.groups() for found in BLOCK.finditer(page.read_text(encoding="utf-8"))]


def name_of(page):
    return str(page.relative_to(ROOT))


def runnable(page):
    return any(language in LANGUAGES for language, _, _ in blocks(page))


def targets():
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    return set(re.findall(r"^([a-z]+):", text, re.MULTILINE))


def expected_codes(info):
    found = re.search(r"expect=([\d,]+)", info)
    return {int(code) for code in found.group(1).split(",")} if found else {0}


@pytest.mark.parametrize("page", [p for p in PAGES if runnable(p)], ids=name_of)
def test_code_blocks_run(page, tmp_path):
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
        "OMP_NUM_THREADS": "1",
    }
    for language, info, code in blocks(page):
        if language not in LANGUAGES:
            continue
        made = re.findall(r"^make (\w+)", code, re.MULTILINE)
        if made:
            assert set(made) <= targets(), f"{name_of(page)} names a make target that is not there"
            continue
        command = ["bash", "-e", "-c", code] if language == "bash" else [sys.executable, "-c", code]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode in expected_codes(info), f"{code}\n{done.stdout}\n{done.stderr}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page):
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), f"{name_of(page)} links to {target}"
