"""What a browser is given shows readings as they are, and nothing that stands in them can do harm."""

import html
import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.web import look
from serving.web.reading import LINE, Letter, Sheet, Work, letters_of
from tests.unit.serving.web.desks import seen_line, work_with

NASTY = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' autofocus onfocus='alert(1)",
    "${alert(1)}",
    "{{value}} {{#each x}}",
    "a & b &amp; c",
]
letters = st.lists(st.tuples(st.text(min_size=1, max_size=1), st.floats(0, 1)), max_size=20)


def bare(markup: str) -> str:
    """Return the text that a browser shows."""
    return html.unescape(re.sub(r"<[^>]*>", "", markup))


def strange(markup: str) -> list[str]:
    """Return what a browser would run or fetch."""
    found: list[str] = []

    class Browser(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            found.extend(name for name, _ in attrs if name.startswith("on") or name == "autofocus")
            found.extend(str(value) for name, value in attrs if name in {"src", "href"} and value != inline(value))
            found.extend([tag] if tag in {"script", "iframe", "object"} else [])

    Browser().feed(markup)
    return found


def inline(address: str | None) -> str | None:
    return address if address and address.startswith("data:image/") else ""


@given(letters)
def test_shading_changes_no_letter(found: list[tuple[str, float]]) -> None:
    text = "".join(one for one, _ in found)
    shown = look.shaded(text, letters_of(text, found))
    assert bare(shown) == (text or "nothing was read")


@given(st.text())
def test_escaped_text_holds_nothing_that_a_browser_or_a_template_takes_as_its_own(text: str) -> None:
    shown = look.escaped(text)
    assert not set(shown) & set("<>\"'${}")
    assert html.unescape(shown) == text


@pytest.mark.parametrize("text", NASTY)
def test_no_part_of_the_page_lets_a_text_through(text: str) -> None:
    line = seen_line(text, others=(text + "!",), letters=(Letter(text=text, confidence=0.1),))
    work = work_with(line)
    for markup in (
        look.line_list(work),
        look.line_list(work.with_sent(text)),
        look.crop_view(line),
        look.other_readings(line),
        look.sheet_view(work.shown),
        look.note(text, bad=True),
    ):
        assert text not in markup
        assert strange(markup) == []
        assert "${" not in markup
        assert "{{" not in markup
        assert look.escaped(text[0]) in markup


def test_letters_are_shaded_by_doubt_and_runs_share_a_mark() -> None:
    found = [
        Letter(text=one, confidence=sure)
        for one, sure in zip("abcdef", (0.99, 0.94, 0.9, 0.7, 0.2, 1.0), strict=True)
    ]
    marks = re.findall(r'<mark class="(\w+)" title="([^"]*)">([^<]*)</mark>', look.shaded("abcdef", found))
    assert marks == [
        ("d1", "slightly doubtful: 90%", "bc"),
        ("d2", "doubtful: 70%", "d"),
        ("d3", "very doubtful: 20%", "e"),
    ]


def test_a_reading_without_letters_is_shown_unshaded_and_an_empty_one_says_so() -> None:
    assert look.shaded("abc", ()) == "abc"
    assert "nothing was read" in look.shaded("", ())


@pytest.mark.parametrize(("confidence", "level"), [(1.0, "sure"), (0.9, "sure"), (0.6, "fair"), (0.59, "weak")])
def test_the_confidence_of_a_line_is_a_figure_and_a_colour(confidence: float, level: str) -> None:
    badge = look.sureness(confidence)
    assert f"badge {level}" in badge
    assert bare(badge) == f"{confidence:.0%}"


def test_every_line_of_a_page_is_outlined_where_it_stands() -> None:
    view = look.sheet_view(work_with(seen_line("one"), seen_line("two", 0.95)).shown)
    assert 'viewBox="0 0 100 200"' in view
    assert re.findall(r'<polygon class="(\w+)" data-line="(\d)" points="([^"]*)"', view) == [
        ("weak", "0", "10,10 90,10 90,40 10,40 10,25"),
        ("sure", "1", "10,10 90,10 90,40 10,40 10,25"),
    ]


def test_a_line_by_itself_has_no_outline() -> None:
    sheet = Sheet(kind=LINE, number=1, width=100, height=20, preview=b"\xff\xd8", lines=(seen_line("one"),))
    assert "polygon" not in look.sheet_view(sheet)


def test_the_list_says_which_line_is_looked_at_and_what_was_sent() -> None:
    work = work_with(seen_line("one"), seen_line("two"), seen_line("three")).with_sent("uno")
    items = re.findall(r"<li>(.*?)</li>", look.line_list(work))
    assert [bare(item) for item in items] == ["1uno✓ sent", "2two50%", "3three50%"]
    assert ['aria-current="true"' in item for item in items] == [False, True, False]
    assert ['tabindex="-1"' in item for item in items] == [True, False, True]


def test_other_readings_are_buttons_with_what_differs_in_bold() -> None:
    shown = look.other_readings(seen_line("Moukan", others=("Maukan", "Moukan.")))
    assert re.findall(r'data-text="([^"]*)"', shown) == ["Moukan", "Maukan", "Moukan."]
    assert "M<b>a</b>ukan" in shown
    assert "Moukan<b>.</b>" in shown
    assert look.other_readings(seen_line("sure")) == ""


def test_nothing_to_show_is_shown_as_nothing() -> None:
    assert (look.sheet_view(None), look.line_list(Work()), look.crop_view(None), look.note("")) == ("", "", "", "")
    assert "No line was found" in look.line_list(work_with())
