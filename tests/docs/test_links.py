"""Every link of a page that leads to something of the project leads somewhere."""

import re
from pathlib import Path
from urllib.parse import unquote

import pytest

from tests.docs.pages import PAGES, headings, name, prose

_LINK = re.compile(r"\]\(([^)\s]+)\)")


def broken(page: Path) -> list[str]:
    """Return the links of a page that lead nowhere."""
    found = []
    for link in _LINK.findall(prose(page)):
        if re.match(r"[a-z]+:", link):  # elsewhere
            continue
        path, _, anchor = unquote(link).partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and (target.suffix != ".md" or anchor not in headings(target))):
            found.append(link)
    return found


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_of_a_page_lead_somewhere(page: Path) -> None:
    assert broken(page) == []


def test_a_link_that_leads_nowhere_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# On `ink`, and paper\n\n[a](#on-ink-and-paper) [b](#on-ink) [c](page.md) [d](none.md) [e](x:y)\n"
    )
    assert broken(page) == ["#on-ink", "none.md"]
