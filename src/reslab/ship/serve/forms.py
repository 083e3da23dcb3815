"""multipart/form-data, read as it arrives and kept in memory, which the limit of a request's size bounds."""

from dataclasses import dataclass, field
from typing import Any

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from reslab.ship.serve.refused import Refused, shown

FILES = "files"
MOST_FIELDS = 1000  # parts that are no files
MOST_TEXT = 2**16  # bytes of such a part
NAME = 255  # characters of a file's name that are kept


@dataclass(eq=False)
class Form:
    """The parts of a form: files as (name, bytes), and texts by field."""

    most_files: int
    files: list[tuple[str, bytes]] = field(default_factory=list)
    fields: dict[str, list[str]] = field(default_factory=dict)
    whole: bool = False
    count: int = 0
    header: bytes = b""
    value: bytes = b""
    disposition: bytes = b""
    data: bytearray = field(default_factory=bytearray)

    def callbacks(self) -> dict[str, Any]:
        """The parser's names for what it finds."""
        return {
            "on_part_begin": self.begin, "on_part_data": self.add, "on_part_end": self.end,
            "on_header_field": self.add_header, "on_header_value": self.add_value, "on_header_end": self.end_header,
            "on_end": self.finish,
        }  # fmt: skip

    def begin(self) -> None:
        self.disposition, self.data = b"", bytearray()

    def add(self, data: bytes, start: int, end: int) -> None:
        self.data += data[start:end]

    def add_header(self, data: bytes, start: int, end: int) -> None:
        self.header += data[start:end]

    def add_value(self, data: bytes, start: int, end: int) -> None:
        self.value += data[start:end]

    def end_header(self) -> None:
        if self.header.lower() == b"content-disposition":
            self.disposition = self.value
        self.header = self.value = b""

    def end(self) -> None:
        """Keep a part. Raises Refused for too many, or one without a name."""
        kind, options = parse_options_header(self.disposition)
        field_name = options.get(b"name", b"").decode("utf-8", "replace")
        if kind != b"form-data" or b"name" not in options:
            raise Refused(400, "a part of the form has no name")
        if field_name == FILES and b"filename" not in options:
            raise Refused(422, f"a part named {FILES} has no filename: send it as a file")
        if field_name != FILES and b"filename" in options:
            raise Refused(422, f"a file is named {shown(field_name)}: send each file as a part named {FILES}")
        if b"filename" in options:
            if len(self.files) == self.most_files:
                raise Refused(413, f"a request may hold at most {self.most_files} files")
            name = options[b"filename"].decode("utf-8", "replace")[:NAME]
            self.files.append((name or f"number {len(self.files)}", bytes(self.data)))
        else:
            self.count += 1
            if self.count > MOST_FIELDS or len(self.data) > MOST_TEXT:
                raise Refused(413, f"a form may hold at most {MOST_FIELDS} fields of at most {MOST_TEXT:,} bytes")
            text = self.data.decode("utf-8", "replace")
            self.fields.setdefault(field_name, []).append(text)
        self.data = bytearray()

    def finish(self) -> None:
        self.whole = True


async def read_form(request: Request, most_files: int) -> Form:
    """The form of a request. Raises Refused if it is malformed, cut off or too large."""
    _, options = parse_options_header(request.headers.get("content-type", ""))
    boundary = options.get(b"boundary", b"")
    if not 0 < len(boundary) <= 200:
        raise Refused(400, "multipart/form-data needs a boundary in its Content-Type")
    form = Form(most_files)
    try:
        parser = MultipartParser(boundary, form.callbacks())  # type: ignore[arg-type]
        async for chunk in request.stream():
            parser.write(chunk)
        parser.finalize()
    except (FormParserError, ValueError) as error:
        raise Refused(400, f"the form is malformed: {error}") from None
    if not form.whole:
        raise Refused(400, "the form ends before its last boundary")
    return form
