"""The first tab: a page or a line in, its text beside it, each line to be corrected, files to take away."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gradio as gr

from serving.web import look
from serving.web.desk import Desk, Session
from serving.web.downloads import ENDINGS, write_download
from serving.web.editor import PRIVATE, Editor, Updates, safely
from serving.web.kept import Kept
from serving.web.picture import drawing_of
from serving.web.reader import AUTOMATIC
from serving.web.reading import LINE, PAGE

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
    session: gr.State
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
    def build(cls, desk: Desk, kept: Kept, session: gr.State) -> "ReadingTab":
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
            session=session,
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

    def wire(self, author: gr.Textbox) -> None:
        """Connect the parts with what they do."""
        everything = [
            self.session,
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
                safely(self.trouble, self._file),
                [self.session, source, self.kind],
                everything,
                **{**PRIVATE, "show_progress": "minimal"},
                show_progress_on=self.trouble,
            )
        self.drawing.drawn(safely(self.trouble, self._drawing), [self.session], everything, **PRIVATE)
        self.kind.input(
            safely(self.trouble, self._again),
            [self.session, self.kind],
            everything,
            **{**PRIVATE, "show_progress": "minimal"},
            show_progress_on=self.trouble,
        )
        self.pages.input(safely(self.trouble, self._turn), [self.session, self.pages], everything, **PRIVATE)
        change = [self.session, self.lines, *self.editor.parts()]
        note = self.editor.note
        for shown in (self.view, self.lines):
            shown.chosen(safely(note, self._choose), [self.session], change, **PRIVATE)
        self.editor.back.click(safely(note, self._back), [self.session], change, **PRIVATE)
        self.editor.onward.click(safely(note, self._onward), [self.session], change, **PRIVATE)
        for sending in (self.editor.send.click, self.editor.text.submit):
            sending(
                safely(note, self._send),
                [self.session, self.editor.text, author, self.editor.meant],
                change,
                **PRIVATE,
            )
        for wanted, button in self.downloads.items():
            button.click(safely(note, self._writer(wanted)), [self.session], [self.parcel, note], **PRIVATE).then(
                None, js="() => quillflow.fetch()", **PRIVATE
            )

    def _file(self, session: Session, path: str, kind: str) -> Updates:
        return self._laid_out(self.desk.read_file(session, Path(path), kind=kind))

    def _drawing(self, session: Session, event: gr.EventData) -> Updates:
        path = self.kept.new() / "drawing.png"
        return self._laid_out(self.desk.read_drawing(session, drawing_of(event._data.get("png")), path))

    def _again(self, session: Session, kind: str) -> Updates:
        """Read the same file as something else."""
        if session.work.source is None:
            return {self.trouble: ""}
        return self._laid_out(self.desk.read_file(session, session.work.source, kind=kind))

    def _turn(self, session: Session, page: int) -> Updates:
        return self._laid_out(replace(session, work=session.work.turned_to(page)))

    def _choose(self, session: Session, event: gr.EventData) -> Updates:
        return self._shown(session, session.work.looking_at(int(event._data["line"])))

    def _back(self, session: Session) -> Updates:
        return self._shown(session, session.work.looking_at(session.work.at - 1))

    def _onward(self, session: Session) -> Updates:
        return self._shown(session, session.work.looking_at(session.work.at + 1))

    def _send(self, session: Session, text: str, author: str, meant: str) -> Updates:
        number = session.work.at + 1
        session = self.desk.send(session, text, author, meant=meant)
        return self._shown(session, session.work, f"Line {number} is stored. Thank you.")

    def _writer(self, wanted: str) -> Any:
        def write(session: Session) -> Updates:
            path = write_download(session.work, wanted, self.kept.new())
            return {self.parcel: gr.update(value=str(path)), self.editor.note: look.note(f"{path.name} is ready.")}

        return write

    def _laid_out(self, session: Session) -> Updates:
        """Show a file that was read, or another page of it."""
        work = session.work
        sheet = work.shown
        pages = [(str(one.number), place) for place, one in enumerate(work.sheets)]
        return {
            **self._shown(session, work),
            self.intake: gr.update(open=False),
            self.file: None,
            self.trouble: "",
            self.pages: gr.update(choices=pages, value=work.sheet, visible=len(pages) > 1),
            self.view: look.sheet_view(sheet),
            self.result: gr.update(visible=True),
        }

    def _shown(self, session: Session, work: Any, note: str = "") -> Updates:
        """Show the line that is looked at."""
        line = work.line
        said = work.said(work.sheet, work.at) if line else ""
        return {
            self.session: replace(session, work=work),
            self.lines: look.line_list(work),
            **self.editor.showing(line, said, note),
        }
