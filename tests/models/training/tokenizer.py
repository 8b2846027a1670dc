"""A byte-level BPE of 2,082 tokens in Whisper's layout, which CTranslate2 and faster-whisper rely on:

    text tokens, "", <|endoftext|>, <|startoftranscript|>, 99 languages, <|translate|>, <|transcribe|>,
    <|startoflm|>, <|startofprev|>, <|nospeech|>, <|notimestamps|>, <|0.00|> ... <|30.00|>

Each digit's name is one token; any other text is spelt in bytes.
"""

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers.models.whisper.tokenization_whisper import LANGUAGES as WHISPER_LANGUAGES

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
LANGUAGES = list(WHISPER_LANGUAGES)[:99]  # without Cantonese, which only large-v3 has
TASKS = ["translate", "transcribe", "startoflm", "startofprev", "nospeech", "notimestamps"]
SPECIAL = [f"<|{name}|>" for name in ["endoftext", "startoftranscript", *LANGUAGES, *TASKS]]
TIMES = [f"<|{i * 0.02:.2f}|>" for i in range(1501)]


def byte_symbols() -> dict[int, str]:
    """GPT-2's printable symbol for every byte: printable ones stand for themselves."""
    printable = {*range(33, 127), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = [b for b in range(256) if b not in printable]
    return {b: chr(b) for b in printable} | {b: chr(256 + i) for i, b in enumerate(others)}


def merges() -> list[tuple[str, str]]:
    symbol = byte_symbols()
    space = symbol[32]
    # One token for " x" and for a note sign: faster-whisper suppresses these, and would suppress the bare
    # space in their place.
    pairs = [(space, chr(c)) for c in range(33, 127)]
    pairs += [(space, symbol[0xE2]), (symbol[0xE2], symbol[0x99]), (space + symbol[0xE2], symbol[0x99])]
    words = [*DIGITS, *(w.capitalize() for w in DIGITS)]
    for prefix in (space, ""):
        for word in words:
            whole = prefix + word
            first = len(prefix) + 1
            pairs += [(whole[:i], whole[i]) for i in range(first, len(whole))]
    return list(dict.fromkeys(pairs))


def build() -> Tokenizer:
    pairs = merges()
    bytes_in_order = [byte_symbols()[b] for b in range(256)]
    texts = dict.fromkeys([*bytes_in_order, *(a + b for a, b in pairs), ""])
    # CTranslate2 takes a vocabulary that holds "" for a multilingual Whisper's.
    tokenizer = Tokenizer(models.BPE(vocab={t: i for i, t in enumerate(texts)}, merges=pairs))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in SPECIAL])
    tokenizer.add_tokens([AddedToken(t, special=False, normalized=False) for t in TIMES])
    return tokenizer


class Ids:
    """The token ids that training and conversion speak of."""

    def __init__(self, tokenizer: Tokenizer):
        of = tokenizer.token_to_id
        self.end, self.start = of("<|endoftext|>"), of("<|startoftranscript|>")
        self.english, self.language_count = of("<|en|>"), len(LANGUAGES)
        self.translate, self.transcribe = of("<|translate|>"), of("<|transcribe|>")
        self.language_model, self.previous = of("<|startoflm|>"), of("<|startofprev|>")
        self.no_speech, self.no_timestamps = of("<|nospeech|>"), of("<|notimestamps|>")
        self.first_time = of("<|0.00|>")
        self.count = tokenizer.get_vocab_size()
        self.words = [of(byte_symbols()[32] + word) for word in DIGITS]
