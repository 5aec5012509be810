"""Everything that student-assessment is measured by, one section after the other.

    .venv/bin/python benchmarks/student_quality.py [--only SECTION …] [--scratch FOLDER]

    risk       UCI student (10 folds) and OULAD studentInfo beside their peers (student_risk.py)
    published  LSAT section 6 and VerbAgg against what R prints (irt_speed.py)
    peers      2,000 × 50 beside `mirt` and `girth` (irt_speed.py)
    large      100,000 × 200 with standard errors (irt_speed.py)
    dif        type I error and power of the DIF statistics (dif_simulation.py)
    essays     ELLIPSE, five folds, frozen encoder (essay_quality.py)
    lora       ELLIPSE, five folds, LoRA (essay_quality.py; an hour and a half on one core)
    tracing    a simulated log (student_tracing.py)

Each section is a script of its own, run by itself so that its memory and its seconds are its own.
Exits with 1 if a section missed a goal.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent


def sections(scratch: str) -> dict[str, list[str]]:
    """Return the command line of each section, after the interpreter."""
    essays = ["essay_quality.py", "--scratch", scratch, "--arithmetic", "bfloat16"]
    return {
        "risk": ["student_risk.py"],
        "published": ["irt_speed.py", "--only", "published"],
        "peers": ["irt_speed.py", "--only", "peers"],
        "large": ["irt_speed.py", "--only", "large"],
        "dif": ["dif_simulation.py"],
        "essays": essays,
        "lora": [*essays, "--lora", "0", "1", "2", "3", "4"],
        "tracing": ["student_tracing.py"],
    }


def main() -> int:
    """Run the sections that were asked for; all but `lora` by default."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    known = list(sections(""))
    parser.add_argument("--only", nargs="+", choices=known)
    parser.add_argument("--scratch", help="a folder that keeps features of essays")
    given = parser.parse_args()
    missed = []
    with tempfile.TemporaryDirectory() as folder:
        for name, command in sections(given.scratch or folder).items():
            if name not in (given.only or known) or (name == "lora" and not given.only):
                continue
            print(f"== {name}", flush=True)
            start = time.perf_counter()
            done = subprocess.run([sys.executable, HERE / command[0], *command[1:]], check=False)
            print(f"{name}: {time.perf_counter() - start:.0f} s\n", flush=True)
            missed += [name] if done.returncode else []
    print(f"missed in: {', '.join(missed)}" if missed else "every goal is met")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
