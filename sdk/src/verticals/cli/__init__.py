"""The `verticals` command. Nothing heavy is imported before a command needs it."""

from verticals.cli.main import cli, main

__all__ = ["cli", "main"]
