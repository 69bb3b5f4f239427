"""Names that were met are known again, and no others."""

from hypothesis import given
from hypothesis import strategies as st

from htr.lines.seen import Seen


@given(st.lists(st.text(max_size=3), max_size=60))
def test_it_says_what_a_set_would_say(names: list[str]) -> None:
    seen, known = Seen(), set[str]()
    for name in names:
        assert (name in seen) == (name in known)
        assert seen.add(name) == (name not in known)
        known.add(name)
    assert len(seen) == len(known)


def test_it_grows_and_forgets_nothing() -> None:
    seen = Seen()
    assert all(seen.add(f"line {n}") for n in range(5000))
    assert not any(seen.add(f"line {n}") for n in range(5000))
    assert len(seen) == 5000
    assert "line 5000" not in seen
    assert seen.add("\ud800"), "half of a pair is a name like any other"
