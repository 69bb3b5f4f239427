"""The page as a whole: head, tabs, style. What happens is in `desk`, how readings look in `look` and page.css."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr
from fastapi import FastAPI

from serving.web import look
from serving.web.desk import Desk
from serving.web.kept import KEPT_S, Kept
from serving.web.open_page import OpenPage
from serving.web.queue_tab import QueueTab
from serving.web.reading_tab import ReadingTab
from serving.web.uploaded import UploadsOnly

HERE = Path(__file__).parent
BRAND = "<h1>Quillflow</h1> <span>handwriting in, text out</span>"
FONT = ["ui-sans-serif", "system-ui", "-apple-system", "Segoe UI", "Roboto", "DejaVu Sans", "sans-serif"]
MONO = ["ui-monospace", "DejaVu Sans Mono", "monospace"]


def build(desk: Desk, *, kept: Kept, notice: Callable[[], str]) -> gr.Blocks:
    """Return the page.

    Args:
        desk: does what buttons say.
        kept: where drawings and files to take away are written.
        notice: says, whenever the page is opened, what is amiss with the server; "" where nothing is.
    """
    page = UploadsOnly(
        title="Quillflow",
        analytics_enabled=False,
        # What is kept is swept anyway; this has Gradio forget the names of its files, too.
        delete_cache=(600, KEPT_S),
        fill_width=True,
    )
    with page:
        opened = gr.State(OpenPage())  # Gradio forgets it an hour after the page was closed
        with gr.Row(elem_id="top"):
            gr.HTML(BRAND, elem_classes="brand")
            author = gr.Textbox(
                label="Your name",
                placeholder="Your name: it goes with your corrections",
                elem_id="author",
                container=False,
                interactive=True,
                max_length=200,
                scale=0,
                min_width=240,
            )
        amiss = gr.HTML(elem_id="amiss", elem_classes="notes")
        with gr.Tabs():
            with gr.Tab("Read") as first:
                reading = ReadingTab.build(desk, kept, opened)
            with gr.Tab("Queue") as tab:
                queue = QueueTab.build(desk, opened)
        reading.wire(author, first)
        queue.wire(author, tab)
        page.load(
            lambda: look.note(notice(), bad=True), None, amiss, api_visibility="private", show_progress="hidden"
        )
        page.load(_name, None, author, api_visibility="private", show_progress="hidden")
    return page


def mount(app: FastAPI, page: gr.Blocks, *, max_bytes: int, admit: Callable[[str, str], bool] | None) -> FastAPI:
    """Serve the page at ``/`` of an application.

    Args:
        app: takes it.
        page: what `build` returned.
        max_bytes: of one uploaded file.
        admit: says whether a name and a token may come in; None where everybody may.
    """
    script = (HERE / "page.js").read_text(encoding="utf-8")
    mounted: FastAPI = gr.mount_gradio_app(
        app,
        page,
        path="/",
        auth=admit,
        auth_message="Your name, and the token that you were given as the password." if admit else None,
        show_error=False,
        max_file_size=max_bytes,
        footer_links=[],
        run_history=False,
        pwa=False,
        ssr_mode=False,
        enable_monitoring=False,
        app_kwargs={"docs_url": None, "redoc_url": None, "openapi_url": None},
        theme=_theme(),
        css_paths=[HERE / "page.css"],
        head=f'<script>{script}</script><meta name="viewport" content="width=device-width, initial-scale=1">',
    )
    return mounted


def _theme() -> gr.themes.Base:
    """Return a look without fonts from elsewhere, its chief button dark enough for white letters."""
    theme = gr.themes.Base(primary_hue="teal", neutral_hue="stone", font=FONT, font_mono=MONO)
    return theme.set(
        button_primary_background_fill="*primary_700", button_primary_background_fill_hover="*primary_800"
    )


def _name(request: gr.Request) -> Any:
    """Return the name that somebody came in with; without one, what was typed stays."""
    return request.username or gr.skip()
