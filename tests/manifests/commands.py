"""A container's command line, read by the parser of the program that it starts."""

import argparse
import contextlib
import importlib
import importlib.util
import io
import os
import re
from collections.abc import Callable, Mapping
from typing import Any

THIRD_PARTY = {"postgres", "weed"}
"""Programs of other people's images: their arguments are tried on a cluster only (k8s/kind)."""


class BadCommandError(Exception):
    """A program does not take its arguments."""


def expanded(args: list[str], environment: Mapping[str, str]) -> list[str]:
    """Return arguments with $(NAME) replaced, as Kubernetes does it.

    Raises:
        BadCommandError: a variable is not set; Kubernetes would leave the text as it is.
    """

    def value(found: re.Match[str]) -> str:
        if found[1] not in environment:
            raise BadCommandError(f"{found[0]} in {args}: no such variable")
        return environment[found[1]]

    return [re.sub(r"\$\((\w+)\)", value, one) for one in args]


def check(command: list[str], args: list[str]) -> None:
    """Have a program's own parser take a command line.

    Raises:
        BadCommandError: it does not.
    """
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            _check(command, args)
    except SystemExit as error:
        raise BadCommandError(f"{command} {args}: {said.getvalue().strip().splitlines()[-1:]}") from error


def _check(command: list[str], args: list[str]) -> None:
    if command[:2] == ["python", "-m"] and len(command) == 3:
        _module(command[2], args)
    elif command[:2] == ["torchrun", "-m"] and len(command) == 3:
        from torch.distributed.run import get_args_parser

        found = get_args_parser().parse_args(["-m", command[2], *args])
        assert (found.module, found.training_script) == (True, command[2])
        _module(found.training_script, found.training_script_args)
    elif command == ["mlflow"]:
        from mlflow.cli import cli

        name, *rest = args
        verb = cli.get_command(None, name)  # type: ignore[arg-type]
        assert verb is not None
        verb.make_context(name, rest)
    else:
        raise BadCommandError(f"{command}: nobody here knows its arguments")


def _module(name: str, args: list[str]) -> None:
    if _spec(name) is None:
        raise BadCommandError(f"python -m {name}: there is no such module")
    module = importlib.import_module(f"{name}.__main__" if _spec(f"{name}.__main__") else name)
    _, unknown = _parsed(module.main, args)
    if name in ("serving", "serving.pages"):  # what is not ours is KServe's
        from kserve.model_server import parser as kserve_parser

        _, unknown = kserve_parser.parse_known_args(unknown)
    if unknown:
        raise BadCommandError(f"python -m {name}: unknown arguments {unknown}")


class _Parsed(BaseException):
    """A program has taken its arguments; it goes no further."""


def _parsed(main: Callable[[list[str]], int], args: list[str]) -> tuple[argparse.Namespace, list[str]]:
    """Run a program until its arguments are read, and return what its own parser made of them."""
    real, depth, environment = argparse.ArgumentParser.parse_known_args, 0, dict(os.environ)

    def stopping(self: argparse.ArgumentParser, *given: Any, **named: Any) -> Any:
        nonlocal depth
        depth += 1
        try:
            found = real(self, *given, **named)
        finally:
            depth -= 1
        if depth == 0:  # subcommands have parsers of their own within
            raise _Parsed(found)
        return found

    argparse.ArgumentParser.parse_known_args = stopping  # type: ignore[method-assign,assignment]
    try:
        main(args)
    except _Parsed as done:
        found: tuple[argparse.Namespace, list[str]] = done.args[0]
        return found
    finally:
        argparse.ArgumentParser.parse_known_args = real  # type: ignore[method-assign]
        os.environ.clear()
        os.environ.update(environment)
    raise BadCommandError(f"{main.__module__}: read no arguments")


def _spec(name: str) -> Any:
    try:
        return importlib.util.find_spec(name)
    except ModuleNotFoundError:  # what should hold it is no package
        return None
