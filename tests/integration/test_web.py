"""The web page as people use it: Chromium before the page, before a server with the shipped model."""

import base64
import hashlib
import io
import re
import signal
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect, sync_playwright

from benchmarks.invented_page import invented_page
from htr.choosing import choose
from htr.correction_store import CorrectionStore
from htr.corrections import Correction
from htr.image import decode
from htr.pretrained import PRETRAINED, resolve
from tests.browser import CHROMIUM, PICTURES, WHY_NOT, Watched, refused_page, web_page
from tests.servers import model_server, wait_until

pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason=WHY_NOT)

NUM_LINES, NUM_WAITING = 18, 12
DESK, PHONE = {"width": 1280, "height": 860}, {"width": 390, "height": 844}
TOKEN = "a-token-for-this-test-only"  # noqa: S105 - of no server but this test's
TAKEN = {"Text": ".txt", "ALTO": ".alto.xml", "PAGE": ".page.xml", "PDF": ".pdf"}
PATIENCE_MS = 90_000
"""For a machine that does other things as well."""
NASTY = '<img src=x onerror=alert(1)> ${6*7} {{value}} & "quoted"'


@dataclass(frozen=True, kw_only=True)
class Site:
    """A server, the page before it, and a browser."""

    url: str
    server: str
    folder: Path
    browser: Browser
    watched: Watched = field(default_factory=Watched)

    def open(self, *, phone: bool = False, url: str = "") -> Page:
        """Return the page, opened anew as by another person."""
        context: BrowserContext = self.browser.new_context(
            viewport=PHONE if phone else DESK, has_touch=phone, is_mobile=phone, accept_downloads=True
        )
        context.on("request", lambda request: self.watched.request(request.url))
        context.on("response", lambda answer: self.watched.answer(answer.url, answer.status))
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.on("pageerror", lambda error: self.watched.errors.append(str(error)))
        page.goto(url or self.url)
        return page

    def stored(self) -> list[Correction]:
        """Return the corrections that the server has."""
        return [one.correction for one in CorrectionStore(self.folder).read()[0]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An invented page, one of its lines, and a folder of lines that wait."""
    folder = tmp_path_factory.mktemp("web")
    grey, lines = invented_page(NUM_LINES, seed=3, degrees=1.0)
    Image.fromarray(grey).resize((1240, 1754)).save(folder / "letter.jpg", quality=90)
    boxes = [tuple(map(round, line.line.box)) for line in lines]
    save_line(grey, boxes[0], folder / "line.png")
    waiting = folder / "waiting"
    waiting.mkdir()
    grey, lines = invented_page(NUM_WAITING, seed=1, degrees=0.0)
    for number, line in enumerate(lines):
        save_line(grey, tuple(map(round, line.line.box)), waiting / f"{number}.png")
    return folder


def save_line(grey: np.ndarray, box: tuple[int, ...], path: Path) -> None:
    left, top, right, foot = box
    Image.fromarray(grey[max(0, top - 12) : foot + 12, max(0, left - 12) : right + 12]).save(path)


@pytest.fixture(scope="module")
def site(folder: Path) -> Iterator[Site]:
    store = folder / "corrections"
    with (
        model_server("--bundle", str(resolve(PRETRAINED)), "--corrections", str(store)) as server,
        web_page("--server", server.url, "--queue", str(folder / "waiting"), "--control-share", "0.5") as page,
        sync_playwright() as playwright,
    ):
        expect.set_options(timeout=PATIENCE_MS)
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield Site(url=page.url, server=server.url, folder=store, browser=browser)
        browser.close()
        errors = page.stderr.read_text()
        assert "Traceback" not in errors, errors


def picture(page: Page, name: str) -> None:
    """Take a picture for the docs where that is asked for."""
    shot = page.screenshot()
    if PICTURES is not None:
        few = Image.open(io.BytesIO(shot)).convert("RGB").quantize(256, dither=Image.Dither.NONE)
        few.save(PICTURES / f"web-{name}.png", optimize=True)


def read(page: Page, file: Path) -> None:
    page.locator("#file input[type=file]").set_input_files(file)
    expect(page.locator(".lines .line").first).to_be_visible()


def named(page: Page, name: str = "Ada") -> Page:
    page.get_by_label("Your name").fill(name)
    return page


def field_of(page: Page) -> Locator:
    return page.locator(".said:visible").locator("input, textarea")


def note(page: Page) -> Locator:
    return page.locator(".note:visible")


def test_a_page_is_read_a_line_corrected_and_the_correction_is_in_the_store(site: Site, folder: Path) -> None:
    page = named(site.open())
    picture(page, "start")
    read(page, folder / "letter.jpg")
    assert page.locator("#view polygon").count() == page.locator(".lines .line").count() == NUM_LINES
    assert page.locator(".lines mark").count() > 0
    page.locator("#view polygon").nth(3).click()
    expect(page.locator(".line[aria-current]")).to_have_attribute("data-line", "3")
    expect(page.locator("#view polygon.current")).to_have_attribute("data-line", "3")
    expect(field_of(page)).to_be_focused()
    other = page.locator(".other").nth(1)
    wanted = other.get_attribute("data-text")
    old = page.locator(".other").first.get_attribute("data-text")
    other.click()
    expect(field_of(page)).to_have_value(wanted or "")
    field_of(page).fill(f"{wanted} Zoé")
    picture(page, "page")
    before = len(site.stored())
    field_of(page).press("Enter")
    expect(note(page)).to_have_text("Line 4 is stored. Thank you.")
    expect(page.locator(".line").nth(3)).to_contain_text("sent")
    expect(page.locator(".line[aria-current]")).to_have_attribute("data-line", "4")
    (kept,) = site.stored()[before:]
    assert (kept.author, kept.old_text, kept.new_text, kept.chosen_by) == ("Ada", old, f"{wanted} Zoé", "reading")
    assert kept.page.startswith("letter.jpg ")
    assert kept.request_id
    image = CorrectionStore(site.folder).image_file(kept).read_bytes()
    shown = page.locator(".line").nth(3)
    shown.click()
    expect(page.locator(".crop img:visible")).to_have_attribute(
        "src", re.compile(re.escape(base64.b64encode(image).decode()))
    )
    assert decode(image).ndim == 2


def test_what_is_taken_away_holds_the_correction(site: Site, folder: Path) -> None:
    page = named(site.open())
    read(page, folder / "letter.jpg")
    field_of(page).fill("corrected by hand")
    field_of(page).press("Enter")
    expect(note(page)).to_contain_text("is stored")
    taken = {}
    for label, ending in TAKEN.items():
        with page.expect_download() as download:
            page.get_by_role("button", name=f"{label} ⭳", exact=True).click()
        assert download.value.suggested_filename == f"letter{ending}"
        taken[label] = Path(download.value.path()).read_bytes()
    assert taken["Text"].decode().splitlines()[0] == "corrected by hand"
    assert len(taken["Text"].decode().split("\n")) >= NUM_LINES  # and an empty line between blocks
    assert b'CONTENT="hand"' in taken["ALTO"] or b"corrected by hand" in taken["ALTO"]
    assert b"<Unicode>corrected by hand</Unicode>" in taken["PAGE"]
    assert taken["PDF"].startswith(b"%PDF-")


def test_one_line_is_told_from_a_page_unless_it_is_said_otherwise(site: Site, folder: Path) -> None:
    page = site.open()
    read(page, folder / "line.png")
    assert page.locator("#view polygon").count() == 0
    assert page.locator(".lines .line").count() == 1
    page.locator("#intake > button").click()
    page.get_by_label("A page", exact=True).check()
    expect(page.locator("#view polygon").first).to_be_visible()


def test_a_drawing_is_read_as_a_line(site: Site) -> None:
    page = site.open()
    page.get_by_role("button", name="Read what I wrote").click()
    expect(note(page)).to_contain_text("nothing is drawn yet")
    canvas = page.locator(".drawing canvas")
    box = canvas.bounding_box()
    assert box
    for start in (0.1, 0.2, 0.3):
        page.mouse.move(box["x"] + start * box["width"], box["y"] + 0.2 * box["height"])
        page.mouse.down()
        page.mouse.move(box["x"] + (start + 0.02) * box["width"], box["y"] + 0.8 * box["height"], steps=4)
        page.mouse.up()
    page.get_by_role("button", name="Read what I wrote").click()
    expect(page.locator(".lines .line")).to_have_count(1)


def test_everything_can_be_done_by_keys(site: Site, folder: Path) -> None:
    page = site.open()
    page.on("filechooser", lambda chooser: chooser.set_files(folder / "letter.jpg"))
    tab_to(page, lambda: page.get_by_label("Your name"))
    page.keyboard.type("Bo")
    tab_to(page, lambda: page.locator("#file button").first)
    page.keyboard.press("Enter")
    expect(page.locator(".lines .line").first).to_be_visible()
    tab_to(page, lambda: field_of(page))
    page.keyboard.press("ArrowDown")
    expect(page.locator(".line[aria-current]")).to_have_attribute("data-line", "1")
    expect(field_of(page)).to_be_focused()
    first, second = (page.locator(".other").nth(n).get_attribute("data-text") or "" for n in (0, 1))
    page.keyboard.press("Alt+ArrowDown")
    expect(field_of(page)).to_have_value(second)
    page.keyboard.press("Escape")
    expect(field_of(page)).to_have_value(first)
    page.keyboard.press("End")
    page.keyboard.type(" by keys")
    before = len(site.stored())
    page.keyboard.press("Enter")
    expect(note(page)).to_have_text("Line 2 is stored. Thank you.")
    expect(page.locator(".line[aria-current]")).to_have_attribute("data-line", "2")
    expect(field_of(page)).to_be_focused()
    page.keyboard.press("ArrowUp")
    expect(field_of(page)).to_have_value(f"{first} by keys")
    (kept,) = site.stored()[before:]
    assert (kept.author, kept.new_text) == ("Bo", f"{first} by keys")


def tab_to(page: Page, wanted: Callable[[], Locator]) -> None:
    """Press Tab until something has the focus, which must be seen to have it."""
    for _ in range(40):
        page.keyboard.press("Tab")
        if wanted().evaluate("element => element === document.activeElement"):
            outline = wanted().evaluate("element => getComputedStyle(element).outlineStyle")
            assert outline == "solid", "the focus cannot be seen"
            return
    raise AssertionError("Tab never gets there")


def test_the_queue_hands_out_lines_and_tells_samples_apart(site: Site, folder: Path) -> None:
    page = named(site.open(), "Cy")
    other = named(site.open(), "Di")
    for one in (page, other):
        one.get_by_role("tab", name="Queue").click()
        wait_until(lambda one=one: waiting(one), timeout_s=60)  # type: ignore[misc]
    assert page.locator(".crop img:visible").get_attribute("src") != other.locator(
        ".crop img:visible"
    ).get_attribute("src")
    picture(page, "queue")
    names = ["sha256:" + hashlib.sha256(path.read_bytes()).hexdigest() for path in (folder / "waiting").iterdir()]
    before = len(site.stored())
    for number in range(4):
        field_of(page).fill(f"queued {number}")
        field_of(page).press("Enter")
        expect(field_of(page)).not_to_have_value(f"queued {number}")
    left = field_of(page).input_value()
    field_of(page).press("ArrowDown")
    expect(field_of(page)).not_to_have_value(left)
    field_of(page).press("ArrowUp")
    expect(field_of(page)).to_have_value(left)
    kept = site.stored()[before:]
    assert [(one.author, one.new_text) for one in kept] == [("Cy", f"queued {number}") for number in range(4)]
    assert len({one.image_digest for one in kept}) == 4
    assert [one.chosen_by for one in kept] == [drawn(one.image_digest) for one in kept]
    assert {one.chosen_by for one in kept} <= {drawn(name) for name in names} == {"reading", "sample"}


def drawn(name: str) -> str:
    """Return what a line of the queue must be sent as, which its name alone says."""
    (choice,) = choose([0.5], np.empty((1, 0)), count=1, control_share=0.5, seed=0, names=[name])
    return "sample" if choice.why == "control" else "reading"


def waiting(page: Page) -> bool:
    """Ask the queue again, until the folder has been read."""
    page.get_by_role("tab", name="Read").click()
    page.get_by_role("tab", name="Queue").click()
    page.wait_for_timeout(400)
    return page.locator(".crop img:visible").count() > 0


def test_a_phone_can_photograph_read_and_correct(site: Site, folder: Path) -> None:
    page = named(site.open(phone=True))
    photo = page.locator("input[type=file][capture=environment]")
    expect(photo).to_have_count(1)
    expect(page.get_by_role("button", name="Photograph")).to_be_visible()
    photo.set_input_files(folder / "letter.jpg")
    expect(page.locator(".lines .line").first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    page.locator(".lines .line").nth(5).tap()
    expect(page.locator(".line[aria-current]")).to_have_attribute("data-line", "5")
    page.wait_for_timeout(700)  # it glides there
    expect(page.locator(".editor:visible")).to_be_in_viewport()
    picture(page, "phone")
    field_of(page).fill("from a phone")
    before = len(site.stored())
    page.get_by_role("button", name="Send").tap()
    expect(note(page)).to_contain_text("Line 6 is stored")
    assert site.stored()[before].new_text == "from a phone"
    for button in page.locator(".line:visible, .ways button:visible, .other:visible").all():
        box = button.bounding_box()
        assert box
        assert box["height"] >= 44  # what a finger needs


def test_what_somebody_typed_is_text_and_nothing_else(site: Site, folder: Path) -> None:
    page = named(site.open())
    page.on("dialog", lambda dialog: pytest.fail(f"it ran: {dialog.message}"))
    read(page, folder / "letter.jpg")
    field_of(page).fill(NASTY)
    field_of(page).press("Enter")
    expect(page.locator(".line .read").first).to_have_text(NASTY)
    assert page.locator("#view img, .lines img").count() == 0
    page.locator(".line").first.click()
    expect(field_of(page)).to_have_value(NASTY)


def test_without_a_name_or_with_a_broken_file_it_says_what_to_do(site: Site, folder: Path, tmp_path: Path) -> None:
    page = site.open()
    read(page, folder / "letter.jpg")
    before = len(site.stored())
    field_of(page).press("Enter")
    expect(note(page)).to_contain_text("write your name first")
    assert len(site.stored()) == before
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\n nothing more")
    page.locator("#intake > button").click()
    page.locator("#file input[type=file]").set_input_files(broken)
    expect(page.locator("#trouble .note.bad")).to_contain_text("This file cannot be read")


def test_nothing_was_asked_of_any_other_machine_or_in_vain_and_no_script_failed(site: Site) -> None:
    page = site.open()
    expect(page.get_by_label("Your name")).to_be_visible()
    page.wait_for_timeout(2000)  # for what it asks by itself then; its heartbeat never ends, so it is never idle
    blocked = page.evaluate("fetch('https://example.org/').then(() => 'let through', error => 'blocked')")
    assert blocked == "blocked"
    site.watched.foreign = [one for one in site.watched.foreign if one != "https://example.org/"]
    assert site.watched.foreign == []
    assert site.watched.errors == []
    assert site.watched.missed == []  # what the guard refuses is nothing that the page needs


def test_pages_of_other_sites_and_other_names_of_this_machine_are_refused(site: Site) -> None:
    assert httpx.get(site.url).status_code == 200
    assert httpx.get(site.url, headers={"origin": "https://example.org"}).status_code == 403
    assert httpx.get(site.url, headers={"host": "example.org"}).status_code == 403
    host, port = site.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(
            b"POST /gradio_api/upload HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9999999999\r\n\r\n"
        )
        assert connection.recv(100).startswith(b"HTTP/1.1 413")
    assert httpx.get(f"{site.url}/docs").status_code == 404


def test_a_server_that_is_away_is_told_in_plain_words(site: Site, folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        nobody = f"http://127.0.0.1:{taken.getsockname()[1] - 1}"
    with web_page("--server", nobody) as away:
        page = site.open(url=away.url)
        expect(page.locator("#amiss .note")).to_contain_text("does not answer")
        page.locator("#file input[type=file]").set_input_files(folder / "line.png")
        expect(page.locator("#trouble .note.bad")).to_contain_text("The reading server does not answer")


def test_who_has_the_token_comes_in_by_name(site: Site) -> None:
    with web_page("--server", site.server, env={"QUILLFLOW_TOKEN": TOKEN}) as guarded:
        assert httpx.get(f"{guarded.url}/config").status_code == 401
        page = site.open(url=guarded.url)
        for token, comes_in in (("something else", False), (TOKEN, True)):
            page.get_by_label("username").fill("Eve")
            page.get_by_label("password").fill(token)
            page.get_by_role("button", name="Login").click()
            if comes_in:
                expect(page.get_by_label("Your name")).to_have_value("Eve")
            else:
                expect(page.get_by_text("Incorrect")).to_be_visible()


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGINT])
def test_what_was_uploaded_is_gone_when_the_page_is_stopped(site: Site, folder: Path, by: signal.Signals) -> None:
    with web_page("--server", site.server) as stopped:
        page = site.open(url=stopped.url)
        read(page, folder / "line.png")
        assert list(stopped.folder.rglob("line.png"))
        page.close()
        assert stopped.stop(by) == 0
        assert list(stopped.folder.glob("quillflow-web-*")) == []
        assert list(stopped.folder.rglob("*.png")) == []
        assert "Traceback" not in stopped.stderr.read_text()


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--host", "0.0.0.0"], "everybody who reaches this address"),  # noqa: S104 - refused
        (["--queue", "/nowhere/at/all"], "no such folder"),
        (["--server", "localhost:8080"], "expected http://"),
        (["--token-file", "/nowhere/token"], "cannot be read"),
    ],
)
def test_a_setting_that_cannot_work_is_refused_in_one_line(options: list[str], reason: str) -> None:
    code, said = refused_page(*options)
    assert code == 2
    assert reason in said
    assert said.count("\n") == 1
