"""An alias in, the model it points to out: exchanged for the next champion while requests go on."""

import logging
import random
import threading

from htr.errors import QuillflowError
from serving.champion import ModelUri, Registry
from serving.served import Served

logger = logging.getLogger(__name__)

SLOWEST_POLLS = 12
"""While a new version cannot be had, the wait between polls doubles up to so many times ``poll_s``."""


class Champion:
    """The model being served, followed through its alias. Readers never wait: the reference is swapped whole.

    Args:
        registry: where the alias is looked up.
        uri: what to serve; with a version in it there is nothing to follow.
        poll_s: how often the alias is asked for.

    Raises:
        ServiceError: there is no version to begin with.
        BundleError: its bundle cannot be used.
    """

    def __init__(self, registry: Registry, uri: ModelUri, *, poll_s: float = 5.0) -> None:
        self._registry = registry
        self._uri = uri
        self._poll_s = poll_s
        self._version = registry.resolve(uri)
        self._served = registry.load(self._version)
        self._last_warning = ""
        self._num_failures = 0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="champion", daemon=True)

    @property
    def served(self) -> Served:
        """What to read with now; a request keeps what it got until it is answered."""
        return self._served

    def start(self) -> None:
        """Begin to follow the alias."""
        if self._uri.alias:
            self._thread.start()

    def stop(self) -> None:
        """Stop following; waits for a fetch that is under way only shortly."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout=2)

    def check(self) -> bool:
        """Look the alias up once; load and swap if it moved.

        Returns:
            Whether another version is served now. When anything fails the old one stays, and a warning is logged.
        """
        try:
            version = self._registry.resolve(self._uri)
            served = self._served if version == self._version else self._registry.load(version)
        except Exception as error:  # whatever a new version is like, the old one must go on serving
            self._num_failures += 1
            if str(error) != self._last_warning:  # once, not at every poll
                self._last_warning = str(error)
                traceback = None if isinstance(error, QuillflowError) else error
                logger.warning("still serving version %s: %s", self._version.number, error, exc_info=traceback)
            return False
        self._last_warning, self._num_failures = "", 0
        if served is self._served:
            return False
        logger.info("%s: version %s takes over from %s", self._uri, version.number, self._version.number)
        self._version, self._served = version, served
        return True

    def _follow(self) -> None:
        # Servers that were started together spread out, and a broken version is not fetched again at every poll.
        while not self._stopping.wait(
            self._poll_s * min(2**self._num_failures, SLOWEST_POLLS) * random.uniform(0.9, 1.1)  # noqa: S311
        ):
            self.check()
