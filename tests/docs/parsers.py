"""A program's own parser, taken from it just before it reads its arguments; nothing of it runs after that."""

import argparse
import ast
import contextlib
import importlib
import inspect
import io
import os
import re
import sys
from collections.abc import Iterator
from functools import cache

from tests.docs.pages import ROOT, Command

KSERVE = {"serving", "serving.pages"}
"""Programs that hand on to KServe what is not theirs."""


_HEAVY = ("benchmarks.", "tests.")
"""Programs that import half the world before they have a parser: their flags are taken from their text."""


class BadCommandError(Exception):
    """A page has a command that its program does not take."""


class _Taken(BaseException):
    """The parser, on its way out of a program that goes no further."""


def check(command: Command) -> None:
    """Have a program's parser look at a command of a page.

    Raises:
        BadCommandError: there is no such program, verb or flag, or, of a whole command, too few arguments.
    """
    parser = parser_of(command.module, command.args[:1] == ("forget",))
    args = list(command.args[1:] if command.args[:1] == ("forget",) else command.args)
    if parser is None:
        if args:
            raise BadCommandError(f"{command}: the program takes no arguments")
        return
    known = dict(parser._option_string_actions)
    if command.module in KSERVE:
        known |= kserve_parser()._option_string_actions
    for word in args:
        verbs = _verbs(parser)
        if word.startswith("-") and not word.lstrip("-")[:1].isdigit():
            if word.partition("=")[0] not in known:
                raise BadCommandError(f"{command}: there is no flag {word}; there are {', '.join(sorted(known))}")
        elif word in verbs:
            parser = verbs[word]
            known |= parser._option_string_actions
        elif verbs and any(isinstance(action.choices, dict) for action in parser._actions) and not _is_value(word):
            raise BadCommandError(f"{command}: there is no verb {word}; there are {', '.join(verbs)}")
    if command.whole:
        _parse(command, args)


def _is_value(word: str) -> bool:
    """Return whether a word may be anything: capital letters stand for what the reader knows."""
    return word.isupper()


def _verbs(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    return {}


def _parse(command: Command, args: list[str]) -> None:
    parser = parser_of(command.module, command.args[:1] == ("forget",))
    assert parser is not None
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            parser.parse_known_args(args)  # flags were looked at already
    except SystemExit as error:
        told = said.getvalue().strip().splitlines()[-1]
        if error.code == 0 or any(f"'{word}'" in told for word in args if _is_value(word)):
            return
        raise BadCommandError(f"{command}: {told}") from error


@cache
def kserve_parser() -> argparse.ArgumentParser:
    from kserve.model_server import parser

    found: argparse.ArgumentParser = parser
    return found


@cache
def parser_of(module: str, forget: bool = False) -> argparse.ArgumentParser | None:
    """Return the parser of a module that can be called, or None where it takes no arguments.

    Raises:
        BadCommandError: there is no such module, or it is no program.
    """
    file = ROOT.joinpath(*module.split(".")).with_suffix(".py")
    package = file.with_suffix("") / "__main__.py"
    file = package if package.is_file() else file
    code = file.read_text(encoding="utf-8") if file.is_file() else ""
    if not code or (file != package and '__name__ == "__main__"' not in code):
        raise BadCommandError(f"python -m {module}: there is no such program")
    if module.startswith(_HEAVY):
        return _from_text(code)
    if "pars" not in code:  # it would run if it were called
        return None
    program = importlib.import_module(f"{module}.__main__" if file == package else module)
    with _taking_parsers() as real_argv:
        args = ["forget"] if forget else []
        sys.argv = [real_argv[0], *args]
        try:
            program.main(*([args] if inspect.signature(program.main).parameters else []))
        except _Taken as taken:
            parser: argparse.ArgumentParser = taken.args[0]
            return parser
    raise BadCommandError(f"python -m {module}: reads no arguments")


def _from_text(code: str) -> argparse.ArgumentParser | None:
    """Return a parser that has a program's flags, and takes any values; None where it has no flags."""
    parser = argparse.ArgumentParser()
    flags = [node.value for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Constant)]
    for flag in sorted({flag for flag in flags if isinstance(flag, str) and re.fullmatch("--[a-z][a-z-]*", flag)}):
        parser.add_argument(flag, nargs="*")
    parser.add_argument("others", nargs="*")
    return parser if len(parser._actions) > 2 else None


@contextlib.contextmanager
def _taking_parsers() -> Iterator[list[str]]:
    real, argv, environment = argparse.ArgumentParser.parse_known_args, sys.argv, dict(os.environ)

    def take(self: argparse.ArgumentParser, *_: object, **__: object) -> None:
        raise _Taken(self)

    argparse.ArgumentParser.parse_known_args = take  # type: ignore[method-assign,assignment]
    try:
        yield argv
    finally:
        argparse.ArgumentParser.parse_known_args = real  # type: ignore[method-assign]
        sys.argv = argv
        os.environ.clear()
        os.environ.update(environment)
