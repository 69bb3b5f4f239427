"""XML in and out, and nothing else: no document type, no entity, no other file, no bomb.

The formats that are read here have no document type, so one is refused as soon as it begins, in any encoding:
before an entity can be declared, let alone expanded or fetched. That leaves of XML's known attacks only sheer
size and depth, which have limits. It is the same that the package defusedxml does, on the parser that Python has.
"""

import re
import xml.etree.ElementTree as ET
from pathlib import Path
from xml.parsers import expat

from htr.errors import DataError

MAX_BYTES = 64 * 2**20
MAX_DEPTH = 200
"""Elements within each other; ALTO and PAGE have about ten."""
PAGE_NAMESPACE = "http://schema.primaresearch.org/PAGE/gts/pagecontent/2019-07-15"
_NO_TEXT = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 cannot hold, not even escaped."""


class _RefusedError(Exception):
    """What an XML file may not hold."""


def parse_xml(path: Path) -> ET.Element:
    """Return the root element; names of elements and attributes come without their namespaces.

    Raises:
        DataError: the file cannot be read, is not XML, or holds what no page format needs.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise DataError(f"{path}: has more than {MAX_BYTES} bytes; write one page a file")
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    try:
        return _parsed(data)
    except _RefusedError as error:
        raise DataError(f"{path}: {error}") from error
    except (expat.ExpatError, LookupError, ValueError) as error:  # the others stand for odd encodings
        raise DataError(f"{path}: is no ALTO or PAGE: not XML ({error}); export it again") from error


def _parsed(data: bytes) -> ET.Element:
    parser = expat.ParserCreate(namespace_separator="}")
    parser.buffer_text = True
    builder = ET.TreeBuilder()
    depth = 0

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > MAX_DEPTH:
            raise _RefusedError(f"elements lie more than {MAX_DEPTH} deep; export it again")
        builder.start(_local(name), {_local(key): value for key, value in attributes.items()})

    def end(name: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(_local(name))

    def refuse(*_: object) -> None:
        raise _RefusedError("declares a document type, which ALTO and PAGE do not; remove it")

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    parser.Parse(data, True)
    return builder.close()


def _local(name: str) -> str:
    return name.rpartition("}")[2]


def plain(text: str) -> str:
    """Return a text without what XML cannot hold; U+FFFD stands for it."""
    return _NO_TEXT.sub("\ufffd", text)


def xml_text(root: ET.Element) -> str:
    """Return a document as text, indented."""
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"
