"""The parts by which one line is looked at and corrected; both tabs have them."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any

import gradio as gr

from htr.errors import QuillflowError
from serving.web import look
from serving.web.open_page import OpenPage
from serving.web.plain_words import plain
from serving.web.queue import key_of
from serving.web.reading import SeenLine

logger = logging.getLogger(__name__)

FAULT = "Something went wrong here. It was noted; try again."
PRIVATE: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden", "concurrency_limit": 8}
"""How events of the page are wired: no part of an API, no veil over what is worked on."""
Updates = dict[Any, Any]
"""What changes, by component."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Editor:
    """One line: its picture, its text in a field, and the ways on."""

    crop: gr.HTML
    text: gr.Textbox
    others: gr.HTML
    meant: gr.Textbox
    """Hidden; which line the text belongs to, as the browser shows it."""
    back: gr.Button
    send: gr.Button
    onward: gr.Button
    note: gr.HTML

    @classmethod
    def build(cls, *, onward: str) -> "Editor":
        """Lay the parts out where this is called.

        Args:
            onward: what the button to the next line is called.
        """
        with gr.Column(elem_classes="editor"):
            crop = gr.HTML(elem_classes="picture")
            text = gr.Textbox(
                label="What the line says",
                lines=1,
                max_lines=1,
                max_length=2000,
                container=False,
                interactive=True,
                elem_classes="said",
                html_attributes=gr.InputHTMLAttributes(autocomplete="off", spellcheck=False),
            )
            others = gr.HTML(js_on_load=None, elem_classes="choices")
            with gr.Row(elem_classes="ways"):
                back = gr.Button("↑ Back", elem_classes="back", size="md", min_width=80)
                send = gr.Button("Send ⏎", elem_classes="send", size="md", variant="primary", min_width=120)
                onward_button = gr.Button(onward, elem_classes="onward", size="md", min_width=80)
            note = gr.HTML(elem_classes="notes")
            meant = gr.Textbox(visible="hidden", elem_classes="meant")
        return cls(
            crop=crop,
            text=text,
            others=others,
            meant=meant,
            back=back,
            send=send,
            onward=onward_button,
            note=note,
        )

    def parts(self) -> list[Any]:
        """Return what changes with the line."""
        return [self.crop, self.text, self.others, self.meant, self.note]

    def showing(self, line: SeenLine | None, said: str = "", note: str = "") -> Updates:
        """Return the updates that show a line.

        Args:
            line: None where there is none to look at.
            said: what stands in the field.
            note: what the person is told.
        """
        return {
            self.crop: look.crop_view(line),
            self.text: gr.update(value=said, interactive=line is not None),
            self.others: look.other_readings(line),
            self.meant: key_of(line) if line else "",
            self.note: look.note(note),
        }


def safely(note: gr.HTML, opened: gr.State, act: Callable[..., Updates]) -> Callable[..., Updates]:
    """Return a handler that tells in plain words what went wrong, and changes nothing then.

    Args:
        note: where that is told.
        opened: holds the `OpenPage` that the handler gets first. It is given back every time, since Gradio counts
            from then when a closed page is to be forgotten.
        act: what is to be done.
    """

    @wraps(act)
    def acting(page: OpenPage, *args: Any, **named: Any) -> Updates:
        try:
            updates = act(page, *args, **named)
        except QuillflowError as error:
            logger.info("refused: %s", error)
            updates = {note: look.note(plain(error), bad=True)}
        except Exception:  # its text is for our log; the person sees that something failed, and can go on
            logger.exception("a fault in the page")
            updates = {note: look.note(FAULT, bad=True)}
        return {opened: page, **updates}

    return acting
