"""A transcript as a Word document (docx): a paragraph per turn, whoever speaks in bold before it. Pure.

Without speakers a paragraph ends at a pause, or where a sentence ends once it is long.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone
from io import BytesIO
from typing import TYPE_CHECKING
from unicodedata import bidirectional

from asr.text.pieces import clean, clock, ends_sentence
from asr.types import Segment, Transcript

if TYPE_CHECKING:
    from docx.document import Document
    from docx.text.paragraph import Paragraph

PAUSE = 2.0  # seconds of silence that begin a new paragraph
LONG = 600  # characters after which the end of a sentence does too
GREY = "767676"  # WCAG AA on white


def to_docx(t: Transcript, times: bool = False) -> bytes:
    """A document for Word, LibreOffice or Google Docs; with `times`, each paragraph begins with its own."""
    from docx import Document  # takes a while to import

    document = Document()
    _describe(document, t.language)
    for said in _paragraphs(t):
        text = _plain(" ".join(s.text for s in said))
        paragraph = document.add_paragraph()
        if times:
            _grey(paragraph.add_run(f"{clock(said[0].start)}  "))
        if said[0].speaker is not None:
            paragraph.add_run(f"{_plain(said[0].speaker)}: ").bold = True
        paragraph.add_run(text)
        if _leftwards(text):
            _turn_round(paragraph)
    document.save(out := BytesIO())
    return out.getvalue()


def _paragraphs(t: Transcript) -> Iterator[list[Segment]]:
    said: list[Segment] = []
    for segment in (s for s in t.segments if s.text.strip()):
        if said and _parted(said, segment):
            yield said
            said = []
        said.append(segment)
    if said:
        yield said


def _parted(said: list[Segment], then: Segment) -> bool:
    last = said[-1]
    if then.speaker != last.speaker or then.start - last.end >= PAUSE:
        return True
    return sum(len(s.text) for s in said) >= LONG and ends_sentence(last.text.rstrip())


def _describe(document: Document, language: str | None) -> None:
    """What the template says of itself goes; in which language spelling is checked is said."""
    from docx.oxml import OxmlElement
    from docx.oxml.ns import qn

    about = document.core_properties
    about.author = about.comments = ""
    about.title = "Transcript"
    about.created = about.modified = datetime.now(timezone.utc).replace(tzinfo=None)
    if language:
        spoken = OxmlElement("w:lang")
        for name in ("w:val", "w:eastAsia", "w:bidi"):
            spoken.set(qn(name), language)
        document.styles["Normal"].element.get_or_add_rPr().append(spoken)


def _grey(run) -> None:
    from docx.shared import RGBColor

    run.font.color.rgb = RGBColor.from_string(GREY)


def _leftwards(text: str) -> bool:
    """Whether its first letter belongs to a script that is written from right to left."""
    return next((d in ("R", "AL") for d in map(bidirectional, text) if d in ("L", "R", "AL")), False)


def _turn_round(paragraph: Paragraph) -> None:
    from docx.oxml import OxmlElement

    paragraph._p.get_or_add_pPr().append(OxmlElement("w:bidi"))
    for run in paragraph.runs:
        run.font.rtl = True


def _plain(text: str) -> str:
    """On one line, without what XML cannot hold."""
    return " ".join(clean(text).translate({0xFFFE: None, 0xFFFF: None}).split())
