"""The names of languages: ISO 639 codes as Whisper uses them, and their English names.

OpenAI's API answers with the name ("english"), takes the code ("en"), and people type
either, so both ways live here.
"""

from __future__ import annotations

NAMES = {
    "af": "afrikaans", "am": "amharic", "ar": "arabic", "as": "assamese", "az": "azerbaijani",
    "ba": "bashkir", "be": "belarusian", "bg": "bulgarian", "bn": "bengali", "bo": "tibetan",
    "br": "breton", "bs": "bosnian", "ca": "catalan", "cs": "czech", "cy": "welsh", "da": "danish",
    "de": "german", "el": "greek", "en": "english", "es": "spanish", "et": "estonian", "eu": "basque",
    "fa": "persian", "fi": "finnish", "fo": "faroese", "fr": "french", "gl": "galician",
    "gu": "gujarati", "ha": "hausa", "haw": "hawaiian", "he": "hebrew", "hi": "hindi",
    "hr": "croatian", "ht": "haitian creole", "hu": "hungarian", "hy": "armenian",
    "id": "indonesian", "is": "icelandic", "it": "italian", "ja": "japanese", "jw": "javanese",
    "ka": "georgian", "kk": "kazakh", "km": "khmer", "kn": "kannada", "ko": "korean", "la": "latin",
    "lb": "luxembourgish", "ln": "lingala", "lo": "lao", "lt": "lithuanian", "lv": "latvian",
    "mg": "malagasy", "mi": "maori", "mk": "macedonian", "ml": "malayalam", "mn": "mongolian",
    "mr": "marathi", "ms": "malay", "mt": "maltese", "my": "myanmar", "ne": "nepali", "nl": "dutch",
    "nn": "nynorsk", "no": "norwegian", "oc": "occitan", "pa": "punjabi", "pl": "polish",
    "ps": "pashto", "pt": "portuguese", "ro": "romanian", "ru": "russian", "sa": "sanskrit",
    "sd": "sindhi", "si": "sinhala", "sk": "slovak", "sl": "slovenian", "sn": "shona",
    "so": "somali", "sq": "albanian", "sr": "serbian", "su": "sundanese", "sv": "swedish",
    "sw": "swahili", "ta": "tamil", "te": "telugu", "tg": "tajik", "th": "thai", "tk": "turkmen",
    "tl": "tagalog", "tr": "turkish", "tt": "tatar", "uk": "ukrainian", "ur": "urdu",
    "uz": "uzbek", "vi": "vietnamese", "yi": "yiddish", "yo": "yoruba", "yue": "cantonese",
    "zh": "chinese",
}  # fmt: skip
EUROPEAN = frozenset(  # what NVIDIA's European models know: Parakeet TDT v3 and Canary v2, by their cards
    """bg cs da de el en es et fi fr hr hu it lt lv mt nl pl pt ro ru sk sl sv uk""".split()  # noqa: SIM905
)
_ALSO = {
    "burmese": "my", "castilian": "es", "farsi": "fa", "flemish": "nl", "haitian": "ht",
    "javanese": "jw", "jv": "jw", "mandarin": "zh", "moldavian": "ro", "moldovan": "ro", "panjabi": "pa",
    "pushto": "ps", "sinhalese": "si", "valencian": "ca", "nb": "no", "iw": "he", "fil": "tl",
}  # fmt: skip
_CODES = {name: code for code, name in NAMES.items()} | _ALSO


def name(code: str | None) -> str | None:
    """The English name, lower case, of a code; the code itself where it is not in the list."""
    return NAMES.get(code, code) if code else None


def code(text: str) -> str | None:
    """The code of what somebody typed: "EN", "en-US", "English"; None where nobody knows it."""
    said = text.strip().lower()
    base = said.replace("_", "-").partition("-")[0]
    return next((c for c in (said, base) if c in NAMES), None) or _CODES.get(said) or _CODES.get(base)
