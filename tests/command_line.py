"""The command `pyredund` as tests call it, inside of this process."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner, Result

from pyredund.cli import main


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def succeed(*arguments: object) -> Result:
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    return result


def fail(code: int, *arguments: object) -> str:
    result = run(*arguments)
    assert result.exit_code == code, result.output
    assert "Error: " in result.stderr
    assert result.stdout == ""
    assert "Traceback" not in result.output
    return " ".join(result.stderr.split())


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())
