"""Which model serves: learnt from the registry, watched while it is new, and taken back where it does worse."""

from monitoring.governor.book import Book
from monitoring.governor.events import Champion, Measured, RolledBack, ServersTold
from monitoring.governor.parts import Parts
from monitoring.governor.rules import is_watched

REGISTRY, WATCH = "registry", "watch"


class Champions:
    """Looks after the champion.

    Args:
        book: what is known.
        parts: among them registry and measures, where there are any.
    """

    def __init__(self, book: Book, parts: Parts) -> None:
        self._book = book
        self._parts = parts
        self._has_answered = False
        book.is_blind = self._is_blind

    def look(self) -> bool:
        """Ask the registry, if that is due; return whether what was said of it before is out of date."""
        registry = self._parts.registry
        if registry is None:
            return True
        if not self._book.is_due(REGISTRY, self._parts.registry_every_s):
            return False
        self.learn(registry.champion())
        self._has_answered = True
        return True

    def look_at_once(self) -> None:
        """Ask the registry now."""
        self._book.hurry(REGISTRY)
        self.look()

    def learn(self, champion: Champion | None) -> None:
        """Write down who is champion, where that is news."""
        known = self._book.state.champion
        if champion is not None and (known is None or known.digest != champion.digest):
            self._book.take(champion)

    def watch(self) -> bool:
        """Compare a new champion with the one before, if that is due; return as `look` does."""
        book, parts = self._book, self._parts
        watch = book.state.watch
        if parts.measures is None or watch is None or not is_watched(book.state, book.policy, book.at()):
            return True
        if parts.registry is None:
            return True
        if not book.is_due(WATCH, parts.measure_every_s):
            return False
        now, before = parts.measures.compare(watch.champion, book.at() - watch.at)
        measured = Measured(version=watch.champion.version, now=now, before=before)
        book.take_if(measured, lambda decision: decision.choice == "roll_back")  # else it is no news
        return True

    def roll_back(self) -> None:
        """Give the alias back, where that was decided; safe to repeat."""
        champion = self._book.state.rolling
        if champion is None or self._parts.registry is None or self._book.state.stopped:
            return
        moved, said = self._parts.registry.move_back(champion)
        self._book.take(RolledBack(version=champion.version, moved=moved, said=said))
        self.look_at_once()

    def tell_servers(self) -> None:
        """Tell servers the bundle before, where a champion was taken back; safe to repeat.

        The alias comes first: it is where a person's newer decision shows. A kill between the two, or a cluster
        that is away, leaves this to a later turn.
        """
        champion = self._book.state.behind
        if champion is None or self._parts.servers is None or self._book.state.stopped:
            return
        said = self._parts.servers.go_back(champion)
        self._book.take(ServersTold(version=champion.version, said=said))

    def _is_blind(self) -> bool:
        return self._parts.registry is not None and self._book.state.champion is None and not self._has_answered
