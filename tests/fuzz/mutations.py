"""Files in, broken files out: cut, overwritten, repeated, spliced, with words of the format put in. By seed."""

import random
from collections.abc import Iterator, Sequence

_WORDS = (
    *(
        b"",
        b"\0",
        b"\xff\xfe",
        b"\xed\xa0\x80",
        b"\xef\xbb\xbf",
        b"\r",
        b"\n",
        b'"',
        b",",
        b"\t",
        b"'",
        b"|",
        b"#",
    ),
    *(b"-1", b"0", b"nan", b"1e400", b"99999999999999999999", b"../", b"/etc/passwd", b"..\\", b"C:\\", b"%00"),
    *(b"<!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/passwd'>]>", b"&b;", b"&#0;", b"&#xD800;", b"<", b"]]>"),
    *(b"{", b"}", b"[", b"null", b"true", b"\\ud800", b"\\u0000", b"a" * 300),
)


def mutants(seeds: Sequence[bytes], rng: random.Random) -> Iterator[bytes]:
    """Yield broken files without end."""
    while True:
        data = bytearray(rng.choice(seeds))
        for _ in range(rng.choice((1, 1, 2, 3, 6))):
            _mutate(data, seeds, rng)
        yield bytes(data)


def _mutate(data: bytearray, seeds: Sequence[bytes], rng: random.Random) -> None:
    at = rng.randint(0, len(data))
    end = min(len(data), at + rng.choice((1, 2, 4, 8, 40, 300)))
    match rng.randrange(8):
        case 0:
            del data[at:end]
        case 1:
            data[at:end] = rng.randbytes(end - at)
        case 2:
            data[at:at] = data[at:end] * rng.choice((1, 3, 50))
        case 3:
            data[at:at] = rng.choice(_WORDS)
        case 4:
            word = rng.choice(_WORDS)
            data[at : at + len(word)] = word
        case 5 if data:
            data[at % len(data)] ^= 1 << rng.randrange(8)
        case 6:
            other = rng.choice(seeds)
            begin = rng.randint(0, len(other))
            data[at:end] = other[begin : begin + rng.choice((4, 40, 400))]
        case _:
            del data[at:]
