"""A multipart form, read as it arrives: fields in memory, the file straight to disk, all of it bounded.

The framework's own form parser reads everything first and asks afterwards. Here the size of
the file, of each field and their number are counted while the bytes come in, an unknown field
is refused at its name, and whoever sends too slowly is let go.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from tempfile import TemporaryFile
from typing import BinaryIO

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from asr.api.body import announced, chunks, too_large
from asr.api.errors import Refused

MANY = 256  # parts in one form
LONG = 2**18  # bytes in all fields together, but for the file and what is BULKY
BULKY = {"known_speaker_references": 24 * 2**20}  # four clips of 4 MiB in Base64, together
BLOCK = 2**20  # bytes gathered before a write to disk


@dataclass
class Form:
    fields: list[tuple[str, str]] = field(default_factory=list)
    file: BinaryIO | None = None  # at its start; deleted by the system once closed
    media: str = ""  # the file's Content-Type, as the client calls it
    size: int = 0  # bytes of the file

    def close(self) -> None:
        if self.file:
            self.file.close()


async def receive(request: Request, most: int, known: Collection[str]) -> Form:
    """The form in `request`. Its file has at most `most` bytes and lies in the temporary folder.

    `known` are the names of the fields there are, without brackets. Raises Refused, TooLarge or
    Cancelled; nothing is left behind then.
    """
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    if kind != b"multipart/form-data" or not options.get(b"boundary"):
        raise Refused(
            "The request must be multipart/form-data with a boundary.",
            status=415,
            code="unsupported_media_type",
        )
    if announced(request) > most + 2 * LONG + sum(BULKY[name] for name in known if name in BULKY):
        raise too_large(most)
    reader = _Reader(known, most)
    try:
        parser = MultipartParser(options[b"boundary"], reader.callbacks())
        async for chunk in chunks(request):
            parser.write(chunk)
            if reader.full:
                await asyncio.to_thread(reader.flush)
        parser.finalize()
        if not reader.finished:
            raise Refused("The form ends in the middle.", "Send it whole, with its closing boundary.")
        await asyncio.to_thread(reader.rewind)
        return reader.form
    except BaseException as e:
        reader.form.close()
        if isinstance(e, FormParserError):
            raise Refused(f"The form cannot be read: {e}.") from e
        raise


async def receive_raw(request: Request, most: int) -> Form:
    """A body that is the file itself, of at most `most` bytes; raises what `receive` raises."""
    if announced(request) > most:
        raise too_large(most)
    form = Form(file=TemporaryFile())  # noqa: SIM115 - closed with the form
    try:
        async for chunk in chunks(request):
            form.size += len(chunk)
            if form.size > most:
                raise too_large(most)
            await asyncio.to_thread(form.file.write, chunk)
        form.file.seek(0)
        return form
    except BaseException:
        form.close()
        raise


class _Reader:
    """What the parser calls as it goes. Raises as soon as a bound is passed."""

    def __init__(self, known: Collection[str], most: int):
        self.form, self.finished = Form(), False
        self._known, self._most = known, most
        self._parts, self._texts = 0, Counter()
        self._block = bytearray()

    @property
    def full(self) -> bool:
        return len(self._block) >= BLOCK

    def callbacks(self) -> dict[str, Callable]:
        return {
            "on_part_begin": self._begin,
            "on_header_field": lambda data, start, end: self._header.extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
            "on_header_end": self._header_end,
            "on_headers_finished": self._headers_finished,
            "on_part_data": self._data,
            "on_part_end": self._end,
            "on_end": self._finish,
        }

    def flush(self) -> None:
        self.form.file.write(self._block)
        self._block.clear()

    def rewind(self) -> None:
        if self.form.file:
            self.flush()
            self.form.file.seek(0)

    def _begin(self) -> None:
        self._parts += 1
        if self._parts > MANY:
            raise Refused(f"The form has more than {MANY} parts.", code="too_many_fields")
        self._header, self._value, self._headers = bytearray(), bytearray(), {}

    def _header_end(self) -> None:
        self._headers[bytes(self._header).lower()] = bytes(self._value)
        self._header, self._value = bytearray(), bytearray()

    def _headers_finished(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        self._name = options.get(b"name", b"").decode("utf-8", "replace")
        self._is_file = b"filename" in options
        self._text = bytearray()
        if self._name.partition("[")[0] not in self._known:
            raise Refused(
                f"Unknown parameter: '{self._name[:100]}'.", param=self._name[:100], code="unknown_parameter"
            )
        if self._is_file != (self._name == "file"):
            what = "must be a file" if self._name == "file" else "must be text, not a file"
            raise Refused(f"'{self._name}' {what}.", param=self._name, code="invalid_type")
        if self._is_file:
            if self.form.file:
                raise Refused(
                    "There are two files.", "Send one a request.", param="file", code="invalid_value"
                )
            self.form.file = TemporaryFile()  # noqa: SIM115 - closed with the form
            self.form.media = self._headers.get(b"content-type", b"").decode("latin-1")

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._is_file:
            self.form.size += end - start
            if self.form.size > self._most:
                raise too_large(self._most)
            self._block += data[start:end]
        else:
            self._text += data[start:end]
            bulky = self._name.partition("[")[0]
            most, kind = (BULKY[bulky], bulky) if bulky in BULKY else (LONG, "")
            self._texts[kind] += end - start
            if self._texts[kind] > most:
                what = f"With '{self._name}' the fields are longer than {most} bytes together."
                raise Refused(what, param=self._name, code="string_too_long")

    def _end(self) -> None:
        if not self._is_file:
            try:
                self.form.fields.append((self._name, self._text.decode("utf-8")))
            except UnicodeDecodeError:
                raise Refused(
                    f"'{self._name}' is not UTF-8 text.", param=self._name, code="invalid_value"
                ) from None

    def _finish(self) -> None:
        self.finished = True
