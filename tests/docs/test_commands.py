"""Commands that a page has are taken by the programs of today: verbs of make, modules, verbs, flags."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.pages import PAGES, ROOT, Command, commands, name, prose, text_of
from tests.docs.parsers import BadCommandError, check, kserve_parser, parser_of

_MAKEFILE = text_of(ROOT / "Makefile")
_MAKE = re.compile(r"(?:`|^(?:    )?|\$ |&& )make (?P<rest>[a-z][^`\n]*)", re.MULTILINE)
_ALONE = re.compile(r"`(--[a-z][\w-]*)[^`]*`")
_FOREIGN = {
    "--allowed-hosts": "mlflow server",
    "--no-index": "pip",
    "--only-binary": "pip",
    "--no-binary": "pip",
    "--no-deps": "pip",
    "--from-file": "kubectl",
}
"""Flags of other people's programs that stand alone in a page's text."""


def recipe(verb: str) -> str:
    """Return what make runs for a verb; "" where it has no such verb."""
    found = re.search(rf"^{verb}:[^\n]*\n((?:\t[^\n]*\n?)*)", _MAKEFILE, re.MULTILINE)
    return found[1] if found else ""


def made(page: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield every call of make in a page: its verb, and what follows."""
    for found in _MAKE.finditer(text_of(page)):
        text = found["rest"].partition("  #")[0]
        try:
            verb, *rest = shlex.split(text)
        except ValueError:
            verb, *rest = text.split()
        if found[0].startswith("make") and not (rest or recipe(verb)):  # prose that begins a line
            continue
        yield verb.rstrip(".,;:"), rest


def wrong_calls_of_make(page: Path) -> Iterator[str]:
    for verb, rest in made(page):
        text = recipe(verb)
        if not text and not re.search(rf"^{verb}:", _MAKEFILE, re.MULTILINE):
            yield f"make {verb}: no such verb"
            continue
        for setting in rest:
            variable, _, value = setting.partition("=")
            if not variable.isupper():
                break
            if variable != "ARGS" and not re.search(rf"^{variable} \?=", _MAKEFILE, re.MULTILINE):
                yield f"make {verb} {setting}: the Makefile has no such variable"
            elif variable not in text and f"$({variable})" not in text:
                yield f"make {verb} {setting}: this verb does not look at it"
            elif variable == "ARGS" and (called := re.search(r"-m ([\w.]+)((?: [a-z]+)*)", text)):
                args = (*called[2].split(), *shlex.split(value))
                check(Command(page=page, module=called[1], args=args, whole=False))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_make_takes_every_verb_and_variable_of_a_page(page: Path) -> None:
    assert list(wrong_calls_of_make(page)) == []


@pytest.mark.parametrize("page", [page for page in PAGES if page.name != "mistakes.md"], ids=name)  # on purpose
def test_programs_take_every_command_of_a_page(page: Path) -> None:
    for command in commands(page):
        check(command)


def test_programs_take_what_the_makefile_calls_them_with() -> None:
    found = re.findall(r"\$\(BIN\)/python -m ([\w.]+)([^\n]*)", _MAKEFILE)
    ours = [(module, rest) for module, rest in found if (ROOT / module.partition(".")[0]).is_dir()]
    assert len(ours) > 15
    for module, rest in ours:
        plain = re.sub(r"\$\([A-Z]+\)", "1", re.sub(r"\$\(ARGS\)| >.*", "", rest))
        args = shlex.split(re.sub(r"\$\(if 1,([^)]*)\)", r"\1", plain))
        check(Command(page=ROOT / "Makefile", module=module, args=tuple(args), whole=False))


def test_flags_that_stand_alone_in_a_text_belong_to_some_program() -> None:
    known = set(kserve_parser()._option_string_actions) | set(_FOREIGN)
    modules = {command.module for page in PAGES for command in commands(page)}
    modules |= set(re.findall(r"\$\(BIN\)/python -m ((?:benchmarks|tests)[\w.]+)", _MAKEFILE))
    for module in sorted(modules):
        waiting = [parser_of(module), *([parser_of(module, True)] if module == "serving" else [])]
        while waiting:
            if (parser := waiting.pop()) is not None:
                known |= set(parser._option_string_actions)
                for action in parser._actions:
                    waiting += action.choices.values() if isinstance(action.choices, dict) else []
    alone = {(name(page), flag) for page in PAGES for flag in _ALONE.findall(prose(page))}
    assert len(alone) > 50
    assert {(page, flag) for page, flag in alone if flag not in known} == set()


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("python -m htr raed a.png", "there is no verb raed"),
        ("python -m htr import manifest my.csv --output my-lines", "there is no flag --output"),
        ("python -m htr import manifest my.csv --ou my-lines", "there is no flag --ou"),
        ("python -m htr import manifest my.csv", "required: --out"),
        ("python -m htr import heaps my.csv --out my-lines", "there is no verb heaps"),
        ("python -m htr train my-lines --out m --max-lines many", "--max-lines: invalid"),
        ("python -m serving --bundle b --htpp_port 1", "there is no flag --htpp_port"),
        ("python -m servant --bundle b", "there is no such program"),
        ("python -m htr.model", "there is no such program"),
    ],
)
def test_a_command_that_no_program_takes_is_found(line: str, told: str, tmp_path: Path) -> None:
    page = ROOT / "docs" / "none.md"
    (_, _, module, *args) = shlex.split(line)
    with pytest.raises(BadCommandError, match=told):
        check(Command(page=page, module=module, args=tuple(args), whole=True))


def test_a_call_of_make_that_goes_nowhere_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "`make rum`, `make run`, `make run LINSE=x`, `make run HOST=x`\n\n    make bench LINES=my MINUTES=3\n"
    )
    assert [found.partition(":")[0] for found in wrong_calls_of_make(page)] == [
        "make rum",
        "make run LINSE=x",
        "make run HOST=x",
    ]
