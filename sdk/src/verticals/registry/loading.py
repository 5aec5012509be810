"""Import what a description names, on its first use; every failure becomes a `PluginError`."""

from __future__ import annotations

import importlib
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from importlib import metadata
from pathlib import Path
from typing import Any, cast

import pluggy

from verticals.contract import DataContract, Drafter, Profile, Refined
from verticals.errors import PluginError
from verticals.plugin import (
    AuditCheck,
    AuditCheckInfo,
    ReportFormatInfo,
    Solution,
    SolutionInfo,
    TorchSolution,
)
from verticals.registry.model import Found
from verticals.registry.rules import TARGET
from verticals.table import Table

HOOKS = ("verticals_solutions", "verticals_audit_checks", "verticals_report_formats")

_EXTRA_OF = {
    "PIL": "vision",
    "opacus": "torch",
    "shap": "explain",
    "torch": "torch",
    "torchvision": "vision",
    "transformers": "text",
}
_LONGEST = 300  # characters of a plugin's own words in a message


def load(found: Found[SolutionInfo]) -> TorchSolution | Solution:
    """Import a solution on its first use.

    Raises `PluginError` if its target cannot be imported, or is no solution.
    """
    info = found.info
    where = f"solution {info.name!r}: target {info.target}"
    value = load_target(info.target, distribution=found.distribution)
    if isinstance(value, type):
        raise PluginError(
            f"{where} is the class {value.__name__}, expected an instance",
            hint=f"let the target of {info.name!r} in {found.distribution} name an instance",
        )
    if isinstance(value, TorchSolution | Solution):
        return value
    missing = [name for name in ("demo", "fit", "load", "evidence") if not hasattr(value, name)]
    raise PluginError(
        f"{where} is {type(value).__name__}, expected a TorchSolution, or a Solution, which also "
        f"has {', '.join(missing)}",
        hint=f"let the target of {info.name!r} in {found.distribution} name a solution",
    )


def load_drafter(found: Found[SolutionInfo]) -> Drafter | None:
    """Import what refines a draft of a contract, where a solution names one.

    Raises `PluginError` if it cannot be imported or called; and so does what it returns, where
    the plugin's code fails.
    """
    target = found.info.drafter
    if not target:
        return None
    what = f"drafter of {found.info.name!r}"
    refine = _load_callable(found, what, target)

    def safely(draft: DataContract, raw: Table, columns: Mapping[str, Profile]) -> Refined:
        with reported(f"{what} failed", target.partition(":")[0], found.distribution):
            refined = refine(draft, raw, columns)
        if isinstance(refined, Refined):
            return refined
        raise PluginError(
            f"{what} returned {type(refined).__name__}, expected verticals.contract.Refined",
            hint=f"correct {target} in {found.distribution}",
        )

    return safely


def load_check(found: Found[AuditCheckInfo]) -> AuditCheck:
    """Import an audit check; raise `PluginError` if it cannot be imported or called."""
    what = f"audit check {found.info.name!r}"
    return cast(AuditCheck, _load_callable(found, what, found.info.target))


def load_report_format(
    found: Found[ReportFormatInfo],
) -> Callable[[Mapping[str, Any]], bytes]:
    """Import a report format; raise `PluginError` if it cannot be imported or called."""
    return _load_callable(found, f"report format {found.info.name!r}", found.info.target)


def load_target(text: str, *, distribution: str = "") -> object:
    """Import what `package.module:NAME` names; `distribution` is named in errors.

    Raises `PluginError` if the text has another form, or the import fails in whatever way.
    """
    if not TARGET.fullmatch(text):
        raise PluginError(
            f"target {text!r} is not of the form package.module:NAME",
            hint=f"correct the target in {distribution or 'the plugin'}",
        )
    module, _, name = text.partition(":")
    with reported(f"target {text!r} cannot be loaded", module, distribution):
        value: object = importlib.import_module(module)
        for part in name.split("."):
            value = getattr(value, part)
        return value


def load_command(entry: metadata.EntryPoint) -> object:
    """Import an outside command; raise `PluginError` if its import fails in whatever way."""
    distribution = entry.dist.name if entry.dist else ""
    with reported(f"command {entry.name!r} cannot be loaded", module_of(entry), distribution):
        return entry.load()


def module_of(entry: metadata.EntryPoint) -> str:
    """Return the module that an entry point names, whatever its form."""
    return entry.value.partition(":")[0].strip()


@contextmanager
def reported(what: str, module: str, distribution: str) -> Iterator[None]:
    """Turn whatever a plugin's code raises into a `PluginError`, and its prints into stderr.

    Stdout stays the command's own, so that `--json` prints one document whatever a plugin says.
    """
    try:
        with redirect_stdout(sys.stderr):
            yield
    except (KeyboardInterrupt, PluginError):
        raise
    except BaseException as error:  # SystemExit, and a panic in a compiled extension, are no more
        raise PluginError(
            f"{what}: {_in_words(error)}", hint=_hint(error, module, distribution)
        ) from error


def _load_callable(found: Found[Any], what: str, target: str) -> Callable[..., Any]:
    value = load_target(target, distribution=found.distribution)
    if callable(value) and not isinstance(value, type):
        return value
    raise PluginError(
        f"{what}: target {target} is {type(value).__name__}, expected a function",
        hint=f"let the target of {found.info.name!r} in {found.distribution} name a function",
    )


def _in_words(error: BaseException) -> str:
    """Return type, text and place of an error on one line."""
    # format_exception_only survives a __str__ that fails
    words = " ".join("".join(traceback.format_exception_only(error)).split())
    if len(words) > _LONGEST:
        words = words[: _LONGEST - 1] + "…"
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith("<frozen")
    ]
    if isinstance(error, pluggy.PluginValidationError | SyntaxError) or not frames:
        return words
    return f"{words} ({Path(frames[-1].filename).name}, line {frames[-1].lineno})"


def _hint(error: BaseException, module: str, distribution: str) -> str:
    if isinstance(error, ModuleNotFoundError) and error.name:
        if f"{module}.".startswith(f"{error.name}."):
            return f"pip install --force-reinstall {distribution or module.partition('.')[0]}"
        extra = _EXTRA_OF.get(error.name.partition(".")[0])
        if extra:
            return f"pip install 'verticals-sdk[{extra}]'"
        return f"pip install {distribution}, which installs what it declares and is missing"
    if isinstance(error, pluggy.PluginValidationError):
        return f"the hooks are {', '.join(HOOKS)}"
    return f"see the traceback: python -c 'import {module}'"
