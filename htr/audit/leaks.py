"""A ledger of lines -> writers, pages and texts in two splits: what was learnt by heart would be tested.

``recent`` is exempt, and so are corrected lines: both are there to ask about hands that training has met.
"""

import numpy as np

from htr.audit.gather import Group
from htr.audit.ledger import Hashes, Ledger, Numbers, groups_of


def rows_in_two_splits(keys: Hashes, ledger: Ledger) -> list[Numbers]:
    """Return the rows of every key that is in two splits.

    Args:
        keys: one of a ledger's columns ``writer``, ``page`` or ``written``.
        ledger: the ledger.
    """
    return [rows for rows in groups_of(keys) if np.ptp(ledger.split[rows])]


def named_writer(group: Group) -> str:
    """Say which writer is in two splits."""
    return f"writer {group.first['writer']!r}"


def named_page(group: Group) -> str:
    """Say which page is in two splits."""
    source = group.first["source"]
    return f"page {group.first['page']!r}" + (f" of {source!r}" if source else "")


def named_text(group: Group) -> str:
    """Say which writer wrote which text in two splits."""
    return f"writer {group.first['writer']!r} wrote {group.first['text']!r}"
