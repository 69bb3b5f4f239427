"""The second tab: line after line that the model is least sure of, until none waits."""

from dataclasses import dataclass

import gradio as gr

from serving.web import look
from serving.web.desk import Desk, Session
from serving.web.editor import PRIVATE, Editor, Updates, safely
from serving.web.open_page import OpenPage

EMPTY = "Nothing waits. Lines that you read under “Read” and did not correct come here, the most doubtful first."
SHORTCUTS = (
    '<p class="hint keys"><kbd>Enter</kbd> sends and goes on · <kbd>↓</kbd> leaves the line for later · '
    "<kbd>↑</kbd> back · <kbd>Alt</kbd>+<kbd>↑</kbd> <kbd>↓</kbd> other readings · "
    "<kbd>Esc</kbd> back to what was read</p>"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class QueueTab:
    """Its parts, and what they do."""

    desk: Desk
    opened: gr.State
    state: gr.HTML
    editor: Editor

    @classmethod
    def build(cls, desk: Desk, opened: gr.State) -> "QueueTab":
        """Lay the parts out where this is called."""
        with gr.Column(elem_classes="one-line"):
            state = gr.HTML(elem_id="waiting")
            editor = Editor.build(onward="Leave ↓")
            gr.HTML(SHORTCUTS)
        return cls(desk=desk, opened=opened, state=state, editor=editor)

    def wire(self, author: gr.Textbox, tab: gr.Tab) -> None:
        """Connect the parts with what they do."""
        note, change = self.editor.note, [self.opened, self.state, *self.editor.parts()]
        tab.select(safely(note, self.opened, self._open), [self.opened], change, **PRIVATE)
        self.editor.back.click(safely(note, self.opened, self._back), [self.opened], change, **PRIVATE)
        self.editor.onward.click(safely(note, self.opened, self._onward), [self.opened], change, **PRIVATE)
        for sending in (self.editor.send.click, self.editor.text.submit):
            sending(
                safely(note, self.opened, self._send),
                [self.opened, self.editor.text, author, self.editor.meant],
                change,
                **PRIVATE,
            )

    def _open(self, page: OpenPage) -> Updates:
        return self._shown(page.change(lambda now: now if now.turn else self.desk.next_turn(now)))

    def _onward(self, page: OpenPage) -> Updates:
        return self._shown(page.change(self.desk.next_turn))

    def _back(self, page: OpenPage) -> Updates:
        return self._shown(page.change(self.desk.last_turn))

    def _send(self, page: OpenPage, text: str, author: str, meant: str) -> Updates:
        began = page.session
        change = self.desk.send_turn(began, text, author, meant=meant)
        stayed = page.session.turn is began.turn
        after, note = page.change(change), "Stored. Thank you."
        if stayed:
            return self._shown(after, note)
        return {self.state: self._state(after), self.editor.note: look.note(note)}  # another line is typed already

    def _shown(self, session: Session, note: str = "") -> Updates:
        turn = session.turn
        line = turn.line if turn else None
        return {
            self.state: self._state(session),
            **self.editor.showing(line, session.said(line) if line else "", note),
        }

    def _state(self, session: Session) -> str:
        waiting = self.desk.waiting(session)
        told = f"{waiting} line{'' if waiting == 1 else 's'} in the queue." if waiting else EMPTY
        filling = self.desk.source.state if self.desk.source else ""
        return f'<p class="hint">{look.escaped(" ".join(filter(None, (told, filling))))}</p>'
