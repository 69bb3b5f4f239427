"""Reads a report page as a browser would, as far as tests need it."""

from dataclasses import dataclass, field
from html.parser import HTMLParser

_VOID = {"meta", "link", "br", "img", "hr", "input"}


@dataclass
class Page(HTMLParser):
    """A parsed page; reading one that is not well nested fails."""

    tags: list[str] = field(default_factory=list)
    images: list[str] = field(default_factory=list)
    """``src`` of every image."""
    references: list[str] = field(default_factory=list)
    """Every address that the page could fetch or lead to."""
    ids: list[str] = field(default_factory=list)
    text: str = ""
    """What can be read, white space collapsed."""
    _open: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    @classmethod
    def read(cls, html: str) -> "Page":
        page = cls()
        page.feed(html)
        page.close()
        assert not page._open, f"never closed: {page._open}"
        page.text = " ".join(page.text.split())
        return page

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in _VOID:
            self._open.append(tag)
        self._note(tag, dict(attrs))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self._note(tag, dict(attrs))

    def handle_endtag(self, tag: str) -> None:
        assert self._open, f"</{tag}> closes nothing"
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] != "style":
            self.text += data

    def _note(self, tag: str, attributes: dict[str, str | None]) -> None:
        addresses = [attributes.get(name) for name in ("src", "href", "xlink:href", "action", "srcset")]
        self.references += [address for address in addresses if address]
        if tag == "img":
            self.images.append(attributes["src"] or "")
        self.ids += [attributes["id"] or ""] if "id" in attributes else []


def read_offline(html: str) -> Page:
    """Parse a page, and fail unless it needs nothing from elsewhere and runs nothing."""
    page = Page.read(html)
    assert [a for a in page.references if not a.startswith(("data:image/", "#"))] == []
    assert not {"script", "link", "iframe", "object", "embed"} & set(page.tags)
    assert "@import" not in html
    assert "url(http" not in html
    assert len(set(page.ids)) == len(page.ids)
    return page
