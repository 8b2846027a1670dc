"""python -m asr models: what can be loaded, and what is downloaded already."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from asr import catalogue
from asr.catalogue import Card

HEAD = ("NAME", "SIZE", "HERE", "LANGUAGES", "LICENCE", "GOOD FOR")
MORE = """
Other models: faster_whisper:OWNER/NAME, any repository of the Hugging Face hub in CTranslate2 format,
onnx:OWNER/NAME, one made for onnx-asr, transformers:OWNER/NAME, any Whisper; or a directory with one.
Say it with --model, or for good with ASR_MODEL; small is short for faster_whisper:small. Without either,
doctor tells what is chosen and why. docs/models.md says which is good for what, and their licences.
"""


def main(argv: list[str]) -> int:
    argparse.ArgumentParser("python -m asr models", description=__doc__.partition(": ")[2]).parse_args(argv)
    rows = [HEAD, *map(_row, catalogue.CARDS)]
    print(_table(rows) + MORE, end="")
    return 0


def _row(card: Card) -> tuple[str, ...]:
    size = f"{card.download / 1e6:,.0f} MB" if card.download else "-"
    known = next(iter(card.languages)) if len(card.languages) == 1 else str(len(card.languages))
    return card.spec, size, "yes" if catalogue.cached(card) else "", known, card.licence, card.says


def _table(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows)
    return "\n".join(lines) + "\n"
