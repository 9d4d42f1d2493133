"""Readers of label files of rotated detection (text of DOTA, XML of DIOR-R) that validate their input."""
import math
import re
from typing import NamedTuple
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from mmengine import fileio

HEADERS = ('imagesource:', 'gsd:')
"""Prefixes of the header lines of a DOTA file, which not all files have."""
ENCODING = re.compile(rb'\s*<\?xml[^>]*\bencoding\s*=\s*["\']([\w.-]{1,40})["\']')
CORNERS = tuple(f'{axis}_{corner}' for corner in ('left_top', 'right_top', 'right_bottom', 'left_bottom')
                for axis in 'xy')
"""Elements of a ``robndbox`` in the order of a polygon's corners."""


class LabelError(ValueError):
    """A label file that violates its format.

    Args:
        path (str): The file.
        line (int): Number of the line, from 1.
        reason (str): What is wrong with it.
    """

    def __init__(self, path: str, line: int, reason: str) -> None:
        super().__init__(path, line, reason)
        self.path, self.line, self.reason = path, line, reason

    def __str__(self) -> str:
        return f'{self.path}, line {self.line}: {self.reason}'


class RotatedObject(NamedTuple):
    """One labeled object.

    Attributes:
        polygon: x1, y1, ... x4, y4 in pixels, as in the file; corners may lie outside the image.
        name: Class name as in the file.
        difficulty: 0, or larger if the file marks the object as hard to recognize.
    """

    polygon: tuple[float, ...]
    name: str
    difficulty: int = 0


def read_dota_text(path: str, backend_args: dict | None = None) -> list[RotatedObject]:
    """Read a DOTA label file, see :func:`parse_dota_text`; ``backend_args`` is MMEngine's file backend."""
    return parse_dota_text(fileio.get(path, backend_args=backend_args), path)


def parse_dota_text(content: bytes, path: str) -> list[RotatedObject]:
    """Read the text of a DOTA label file: ``x1 y1 x2 y2 x3 y3 x4 y4 class difficulty`` a line.

    Empty lines and the headers ``imagesource:`` and ``gsd:`` are skipped. Line ends may be those of any system. A
    missing difficulty is 0.

    Args:
        content (bytes): The text.
        path (str): The file, for messages.

    Returns:
        list[RotatedObject]: The objects in the order of the file.

    Raises:
        LabelError: A line has another form.
    """
    try:
        text = content.decode('utf-8-sig')
    except UnicodeDecodeError as error:
        raise LabelError(path, 1, f'it is not UTF-8 text ({error.reason} at byte {error.start})') from error
    lines = ((number, line.strip()) for number, line in enumerate(text.splitlines(), start=1))
    return [_parse_line(path, number, line) for number, line in lines if line and not line.startswith(HEADERS)]


def _parse_line(path: str, number: int, line: str) -> RotatedObject:
    fields = line.split()
    if len(fields) not in (9, 10):
        raise LabelError(path, number, f'{line[:80]!r} has {len(fields)} fields; an object has eight coordinates, a '
                         'class and a difficulty')
    difficulty = fields[9] if len(fields) == 10 else '0'
    if not (difficulty.isascii() and difficulty.isdigit()) or len(difficulty) > 9:
        raise LabelError(path, number, f'the difficulty is {difficulty[:80]!r}; it must be a whole number from 0 to '
                         '999999999')
    return RotatedObject(tuple(_coordinate(path, number, field) for field in fields[:8]), fields[8], int(difficulty))


def _coordinate(path: str, line: int, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise LabelError(path, line, f'the coordinate is {text[:80]!r}; it must be a finite number')
    return value


def read_dior_xml(path: str, backend_args: dict | None = None) -> tuple[tuple[int, int] | None, list[RotatedObject]]:
    """Read a DIOR-R label file, see :func:`parse_dior_xml`; ``backend_args`` is MMEngine's file backend."""
    return parse_dior_xml(fileio.get(path, backend_args=backend_args), path)


def parse_dior_xml(content: bytes, path: str) -> tuple[tuple[int, int] | None, list[RotatedObject]]:
    """Read the XML of a DIOR-R label file with a ``robndbox`` for each object.

    Args:
        content (bytes): The XML.
        path (str): The file, for messages.

    Returns:
        tuple: (height, width) of the image, or None if the file does not have it; objects in the order of the file,
            with
        names in lower case.

    Raises:
        LabelError: The content is not XML or has a document type (which could refer to other files), or an element is
            missing or not a number.
    """
    root, lines = _parse_xml(path, content)
    size = root.find('size')
    shape = None if size is None else tuple(int(_number(path, lines, size, side)) for side in ('height', 'width'))
    return shape, [_parse_object(path, lines, element) for element in root.findall('object')]


def _parse_xml(path: str, content: bytes) -> tuple[Element, dict[Element, int]]:
    """The root element, and the line at which each element begins."""
    content, encoding = _as_utf8(path, content)
    builder, parser, lines = TreeBuilder(), expat.ParserCreate(encoding), {}

    def refuse(*_: object) -> None:
        raise LabelError(path, parser.CurrentLineNumber, 'it has a document type, which is not allowed in labels')

    def start(tag: str, attributes: dict) -> None:
        lines[builder.start(tag, attributes)] = parser.CurrentLineNumber

    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler, parser.EndElementHandler = start, builder.end
    parser.CharacterDataHandler = builder.data
    try:
        parser.Parse(content, True)
    except expat.ExpatError as error:
        raise LabelError(path, error.lineno, f'it is not XML: {expat.ErrorString(error.code)}') from error
    except (LookupError, UnicodeError) as error:  # encodings that expat asks Python for
        raise LabelError(path, 1, f'it declares an encoding that cannot be read: {str(error)[:80]}') from error
    return builder.close(), lines


def _as_utf8(path: str, content: bytes) -> tuple[bytes, str | None]:
    """The content of an XML file in the encoding that it declares as UTF-8; as it is if it declares none.

    Expat knows few encodings, Python those of label tools, as GB2312.
    """
    declared = ENCODING.match(content)
    if declared is None:
        return content, None
    name = declared[1].decode()
    try:
        return content.decode(name).encode(), 'utf-8'
    except (LookupError, UnicodeError) as error:
        raise LabelError(path, 1, f'it declares the encoding {name!r}, as which it cannot be read: {error}') from error


def _text(path: str, lines: dict[Element, int], parent: Element, tag: str) -> str:
    text = parent.findtext(tag, '').strip()
    if not text:
        raise LabelError(path, lines[parent], f'<{parent.tag}> has no <{tag}>')
    return text


def _number(path: str, lines: dict[Element, int], parent: Element, tag: str) -> float:
    return _coordinate(path, lines[parent], _text(path, lines, parent, tag))


def _parse_object(path: str, lines: dict[Element, int], element: Element) -> RotatedObject:
    name, box = _text(path, lines, element, 'name').lower(), element.find('robndbox')
    if box is None:
        raise LabelError(path, lines[element], f'object {name!r} has no <robndbox>; the labels with upright boxes are '
                         'those of DIOR, not of DIOR-R')
    polygon = tuple(_number(path, lines, box, corner) for corner in CORNERS)
    difficulty = 0.0 if element.find('difficult') is None else _number(path, lines, element, 'difficult')
    if not 0 <= difficulty < 1e9:
        raise LabelError(path, lines[element], f'the difficulty is {difficulty:g}; it must be from 0 to 999999999')
    return RotatedObject(polygon, name, int(difficulty))
