import random

from htr.numbered import Numbered


def test_names_keep_their_first_number_however_many_there_are() -> None:
    numbered, wanted = Numbered(), dict[str, int]()
    draw = random.Random(1)
    for number in range(5000):
        name = f"name {draw.randrange(3000)} \ud800"
        assert numbered.setdefault(name, number) == wanted.setdefault(name, number)
    assert len(numbered) == len(wanted)
    assert all(numbered.get(name) == number for name, number in wanted.items())
    assert numbered.get("another") is None
    assert "another" not in numbered
    assert next(iter(wanted)) in numbered
