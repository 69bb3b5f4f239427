"""Changes of a session in, one after another: Gradio runs what a page's buttons say side by side."""

import threading
from typing import Any

from serving.web.desk import Change, Session


class OpenPage:
    """Holds the session of one page that is open in a browser.

    Whoever changes it is given it as it is at that moment, so that what a slow server brings back never undoes
    what was done meanwhile. Ask the server before, not within, a change.
    """

    def __init__(self) -> None:
        self._session = Session()
        self._lock = threading.Lock()

    @property
    def session(self) -> Session:
        """The session as it is now."""
        return self._session

    def change(self, change: Change) -> Session:
        """Put another session into the place of the one that is here, and return it."""
        with self._lock:
            self._session = change(self._session)
            return self._session

    def __deepcopy__(self, _memo: Any) -> "OpenPage":
        """Return a new one, with nothing on it: Gradio makes one so for every page that is opened."""
        return OpenPage()
