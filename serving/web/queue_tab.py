"""The second tab: line after line that the model is least sure of, until none waits."""

from dataclasses import dataclass

import gradio as gr

from serving.web import look
from serving.web.desk import Desk, Session
from serving.web.editor import PRIVATE, Editor, Updates, safely

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
    session: gr.State
    state: gr.HTML
    editor: Editor

    @classmethod
    def build(cls, desk: Desk, session: gr.State) -> "QueueTab":
        """Lay the parts out where this is called."""
        with gr.Column(elem_classes="one-line"):
            state = gr.HTML(elem_id="waiting")
            editor = Editor.build(onward="Leave ↓")
            gr.HTML(SHORTCUTS)
        return cls(desk=desk, session=session, state=state, editor=editor)

    def wire(self, author: gr.Textbox, tab: gr.Tab) -> None:
        """Connect the parts with what they do."""
        note, change = self.editor.note, [self.session, self.state, *self.editor.parts()]
        tab.select(safely(note, self._open), [self.session], change, **PRIVATE)
        self.editor.back.click(safely(note, self._back), [self.session], change, **PRIVATE)
        self.editor.onward.click(safely(note, self._onward), [self.session], change, **PRIVATE)
        for sending in (self.editor.send.click, self.editor.text.submit):
            sending(
                safely(note, self._send),
                [self.session, self.editor.text, author, self.editor.meant],
                change,
                **PRIVATE,
            )

    def _open(self, session: Session) -> Updates:
        return self._shown(session if session.turn else self.desk.next_turn(session))

    def _onward(self, session: Session) -> Updates:
        return self._shown(self.desk.next_turn(session))

    def _back(self, session: Session) -> Updates:
        return self._shown(self.desk.last_turn(session))

    def _send(self, session: Session, text: str, author: str, meant: str) -> Updates:
        return self._shown(self.desk.send_turn(session, text, author, meant=meant), "Stored. Thank you.")

    def _shown(self, session: Session, note: str = "") -> Updates:
        turn = session.turn
        line = turn.line if turn else None
        return {
            self.session: session,
            self.state: self._state(session),
            **self.editor.showing(line, session.said(line) if line else "", note),
        }

    def _state(self, session: Session) -> str:
        waiting = self.desk.waiting(session)
        told = f"{waiting} line{'' if waiting == 1 else 's'} in the queue." if waiting else EMPTY
        filling = self.desk.folder.state if self.desk.folder else ""
        return f'<p class="hint">{look.escaped(" ".join(filter(None, (told, filling))))}</p>'
