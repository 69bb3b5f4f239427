"""Text in, what a reader takes for its letters out: extended grapheme clusters (UAX #29).

A letter and the marks on it are one cluster, however many code points they take: "m" and a grave accent, an Arabic
letter with its vowel signs, a Devanagari consonant with its vowel.
"""

from collections.abc import Sequence

import regex

_CLUSTER = regex.compile(r"\X")


def graphemes(text: str) -> Sequence[str]:
    """Return the clusters of a text, in order; the text itself where each character is one.

    Below U+0300 nothing combines but carriage return and line feed, so that most Latin text is not even searched.
    """
    if not text or (max(text) < "\u0300" and "\r" not in text):
        return text
    clusters: list[str] = _CLUSTER.findall(text)
    return text if len(clusters) == len(text) else clusters
