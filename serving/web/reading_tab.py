"""The first tab: a page or a line in, its text beside it, each line to be corrected, files to take away."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gradio as gr

from serving.web import look
from serving.web.desk import Change, Desk, Session
from serving.web.downloads import ENDINGS, write_download
from serving.web.editor import PRIVATE, Editor, Updates, safely
from serving.web.kept import Kept
from serving.web.open_page import OpenPage
from serving.web.picture import drawing_of
from serving.web.reader import AUTOMATIC
from serving.web.reading import LINE, PAGE, Work

HERE = Path(__file__).parent
DROP_HINT = '<p class="hint">Drop a page or a line here, or click: PNG, JPEG, TIFF, WebP or PDF.</p>'
WRITE_HINT = '<p class="hint">Or write a line, with mouse, pen or finger.</p>'
LEGEND = (
    '<p class="hint legend"><span class="sure">surely right</span><span class="fair">look at it</span>'
    '<span class="weak">doubtful</span> Click a line to correct it.</p>'
)
KINDS = [("Choose by itself", AUTOMATIC), ("A page", PAGE), ("One line", LINE)]
FILE_TYPES = ["image", ".pdf", ".tif", ".tiff"]
LABELS = {"text": "Text", "alto": "ALTO", "page": "PAGE", "pdf": "PDF"}
SHORTCUTS = (
    '<p class="hint keys"><kbd>Enter</kbd> sends and goes on · <kbd>↑</kbd> <kbd>↓</kbd> other lines · '
    "<kbd>Alt</kbd>+<kbd>↑</kbd> <kbd>↓</kbd> other readings · <kbd>Esc</kbd> back to what was read</p>"
)
_CLICKED = """
element.addEventListener('click', event => {
  const at = event.target.closest('[data-line]');
  if (at) { quillflow.chosen(); trigger('chosen', {line: Number(at.dataset.line)}); }
});
"""
_CANVAS = """
<div class="drawing"><canvas width="1200" height="260" aria-label="Field to write a line in"></canvas>
<div class="pens"><button type="button" data-do="undo">Undo</button>
<button type="button" data-do="clear">Clear</button>
<button type="button" data-do="read" class="read-it">Read what I wrote</button></div></div>
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadingTab:
    """Its parts, and what they do."""

    desk: Desk
    kept: Kept
    """Where drawings and files to take away are written."""
    opened: gr.State
    intake: gr.Accordion
    file: gr.File
    photo: gr.UploadButton
    drawing: gr.HTML
    kind: gr.Radio
    pages: gr.Radio
    view: gr.HTML
    lines: gr.HTML
    editor: Editor
    result: gr.Column
    downloads: dict[str, gr.Button]
    parcel: gr.DownloadButton
    """Out of sight: the browser is made to click it when a file is ready."""
    trouble: gr.HTML
    """What went wrong before there is a line."""

    @classmethod
    def build(cls, desk: Desk, kept: Kept, opened: gr.State) -> "ReadingTab":
        """Lay the parts out where this is called."""
        with gr.Accordion("A page or a line of handwriting", open=True, elem_id="intake") as intake:
            with gr.Row(elem_classes="intakes"):
                with gr.Column(min_width=280):
                    gr.HTML(DROP_HINT)
                    file = gr.File(
                        label="Page or line",
                        show_label=False,
                        file_types=FILE_TYPES,
                        height=150,
                        interactive=True,
                        elem_id="file",
                    )
                    photo = gr.UploadButton("Photograph", file_types=["image"], elem_classes="photo")
                with gr.Column(min_width=280):
                    gr.HTML(WRITE_HINT)
                    drawing = gr.HTML(_CANVAS, js_on_load=(HERE / "drawing.js").read_text(encoding="utf-8"))
            kind = gr.Radio(KINDS, value=AUTOMATIC, label="What is it?", interactive=True, elem_id="kind")
        trouble = gr.HTML(elem_id="trouble", elem_classes="notes")
        with gr.Column(visible=False, elem_id="result") as result:
            pages = gr.Radio([], label="Page", visible=False, interactive=True, elem_id="pages")
            with gr.Row(elem_classes="desk"):
                with gr.Column(elem_classes="left", min_width=300):
                    view = gr.HTML(js_on_load=_CLICKED, elem_id="view")
                    gr.HTML(LEGEND)
                with gr.Column(elem_classes="work", min_width=300):
                    editor = Editor.build(onward="Next ↓")
                    lines = gr.HTML(js_on_load=_CLICKED + "watch('value', () => quillflow.listed(element));")
                    with gr.Row(elem_classes="downloads"):
                        downloads = {
                            name: gr.Button(f"{LABELS[name]} ⭳", size="sm", min_width=60) for name in ENDINGS
                        }
                    gr.HTML(SHORTCUTS)
            parcel = gr.DownloadButton(visible="hidden", elem_id="parcel")
        return cls(
            desk=desk,
            kept=kept,
            opened=opened,
            intake=intake,
            file=file,
            photo=photo,
            drawing=drawing,
            kind=kind,
            pages=pages,
            view=view,
            lines=lines,
            editor=editor,
            result=result,
            downloads=downloads,
            parcel=parcel,
            trouble=trouble,
        )

    def wire(self, author: gr.Textbox, tab: gr.Tab) -> None:
        """Connect the parts with what they do."""
        everything = [
            self.opened,
            self.intake,
            self.file,
            self.pages,
            self.view,
            self.lines,
            self.result,
            self.trouble,
            *self.editor.parts(),
        ]
        for source in (self.file, self.photo):
            source.upload(
                safely(self.trouble, self.opened, self._file),
                [self.opened, source, self.kind],
                everything,
                **{**PRIVATE, "show_progress": "minimal"},
                show_progress_on=self.trouble,
            )
        self.drawing.drawn(safely(self.trouble, self.opened, self._drawing), [self.opened], everything, **PRIVATE)
        self.kind.input(
            safely(self.trouble, self.opened, self._again),
            [self.opened, self.kind],
            everything,
            **{**PRIVATE, "show_progress": "minimal"},
            show_progress_on=self.trouble,
        )
        self.pages.input(
            safely(self.trouble, self.opened, self._turn), [self.opened, self.pages], everything, **PRIVATE
        )
        change = [self.opened, self.lines, *self.editor.parts()]
        note = self.editor.note
        for shown in (self.view, self.lines):
            shown.chosen(safely(note, self.opened, self._choose), [self.opened], change, **PRIVATE)
        self.editor.back.click(safely(note, self.opened, self._back), [self.opened], change, **PRIVATE)
        self.editor.onward.click(safely(note, self.opened, self._onward), [self.opened], change, **PRIVATE)
        for sending in (self.editor.send.click, self.editor.text.submit):
            sending(
                safely(note, self.opened, self._send),
                [self.opened, self.editor.text, author, self.editor.meant],
                change,
                **PRIVATE,
            )
        tab.select(
            safely(note, self.opened, self._listed), [self.opened], [self.opened, self.lines, note], **PRIVATE
        )
        for wanted, button in self.downloads.items():
            button.click(
                safely(note, self.opened, self._writer(wanted)),
                [self.opened],
                [self.opened, self.parcel, note],
                **PRIVATE,
            ).then(None, js="() => quillflow.fetch()", **PRIVATE)

    def _file(self, page: OpenPage, path: str, kind: str) -> Updates:
        return self._read(page, lambda began: self.desk.read_file(began, Path(path), kind=kind))

    def _drawing(self, page: OpenPage, event: gr.EventData) -> Updates:
        drawing, path = drawing_of(event._data.get("png")), self.kept.new() / "drawing.png"
        return self._read(page, lambda began: self.desk.read_drawing(began, drawing, path))

    def _again(self, page: OpenPage, kind: str) -> Updates:
        """Read the same file as something else."""
        source = page.session.work.source
        if source is None:
            return {self.trouble: ""}
        return self._read(page, lambda began: self.desk.read_file(began, source, kind=kind))

    def _read(self, page: OpenPage, read: Callable[[Session], Change]) -> Updates:
        began = page.change(self.desk.begin)
        after = page.change(read(began))
        if after.laid != began.begun:  # what was begun later is shown already
            return {self.trouble: ""}
        return self._laid_out(after.work)

    def _turn(self, page: OpenPage, sheet: int) -> Updates:
        return self._laid_out(_at(page, lambda work: work.turned_to(sheet)))

    def _choose(self, page: OpenPage, event: gr.EventData) -> Updates:
        line = int(event._data["line"])
        return self._shown(_at(page, lambda work: work.looking_at(line)))

    def _back(self, page: OpenPage) -> Updates:
        return self._shown(_at(page, lambda work: work.looking_at(work.at - 1)))

    def _onward(self, page: OpenPage) -> Updates:
        return self._shown(_at(page, lambda work: work.looking_at(work.at + 1)))

    def _send(self, page: OpenPage, text: str, author: str, meant: str) -> Updates:
        began = page.session
        change = self.desk.send(began, text, author, meant=meant)
        stayed = page.session.work.line is began.work.line
        work, note = page.change(change).work, f"Line {began.work.at + 1} is stored. Thank you."
        if stayed:
            return self._shown(work, note)
        return {self.lines: look.line_list(work), self.editor.note: look.note(note)}  # another is typed already

    def _listed(self, page: OpenPage) -> Updates:
        """List the lines again, of which some may have been corrected in the queue."""
        return {self.lines: look.line_list(page.session.work)}

    def _writer(self, wanted: str) -> Any:
        def write(page: OpenPage) -> Updates:
            path = write_download(page.session.work, wanted, self.kept.new())
            return {self.parcel: gr.update(value=str(path)), self.editor.note: look.note(f"{path.name} is ready.")}

        return write

    def _laid_out(self, work: Work) -> Updates:
        """Show a file that was read, or another page of it."""
        sheet = work.shown
        pages = [(str(one.number), place) for place, one in enumerate(work.sheets)]
        return {
            **self._shown(work),
            self.intake: gr.update(open=False),
            self.file: None,
            self.trouble: "",
            self.pages: gr.update(choices=pages, value=work.sheet, visible=len(pages) > 1),
            self.view: look.sheet_view(sheet),
            self.result: gr.update(visible=True),
        }

    def _shown(self, work: Work, note: str = "") -> Updates:
        """Show the line that is looked at."""
        said = work.said(work.sheet, work.at) if work.line else ""
        return {self.lines: look.line_list(work), **self.editor.showing(work.line, said, note)}


def _at(page: OpenPage, move: Callable[[Work], Work]) -> Work:
    """Look at something else of what was read; return it as it is then."""
    return page.change(lambda now: replace(now, work=move(now.work))).work
