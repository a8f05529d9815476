"""Token lists for CTC: made from a fold's training text, and from nothing else.

A token list is one token per line, the blank first. Characters are upper case with ``<space>`` between words, as in the
wav2vec 2.0 CTC models; SentencePiece BPE is the option.
"""

import io
import json
import struct
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from espnet_ser.characters import is_token
from espnet_ser.errors import InputError
from espnet_ser.utils.atomic import atomic_write, remove_unfinished
from espnet_ser.utils.bounded import read_small_file

if TYPE_CHECKING:
    import sentencepiece

BLANK, UNKNOWN, SPACE = "<blank>", "<unk>", "<space>"
SENTENCEPIECE_SPACE = "\u2581"

MAX_TOKEN = 1000  # characters of a token

MAX_TOKENS = 100_000  # tokens of a list

_MAX_LIST_BYTES = 1 << 20  # as JSON: ``config.yaml`` holds the list too
_MAX_BPE_BYTES = 16 << 20


class CharTokenizer:
    """Characters, with a space token between words.

    >>> tokenizer = CharTokenizer(CharTokenizer.make_tokens(["A CAB"]))
    >>> tokenizer.tokens
    ['<blank>', '<unk>', '<space>', 'A', 'B', 'C']
    >>> tokenizer.text_to_ids("CAB Z"), tokenizer.ids_to_text([5, 3, 4, 2, 3])
    ([5, 3, 4, 2, 1], 'CAB A')
    """

    def __init__(self, tokens: Sequence[str]):
        self.tokens = list(tokens)
        self._ids = {token: index for index, token in enumerate(self.tokens)}

    @staticmethod
    def make_tokens(texts: Iterable[str]) -> list[str]:
        """The token list of these texts: blank, unknown, space, then the characters in order."""
        characters = sorted({character for text in texts for character in text} - {" "})
        return [BLANK, UNKNOWN, SPACE, *characters]

    def text_to_ids(self, text: str) -> list[int]:
        """Token ids of a normalised text; characters that training never showed become ``<unk>``."""
        return [self._ids[SPACE] if c == " " else self._ids.get(c, self._ids[UNKNOWN]) for c in text]

    def ids_to_text(self, ids: Iterable[int]) -> str:
        """The text of token ids (without blanks), words separated by single spaces."""
        pieces = (" " if self.tokens[i] == SPACE else "" if self.tokens[i] == UNKNOWN else self.tokens[i] for i in ids)
        return " ".join("".join(pieces).split())


class BPETokenizer:
    """SentencePiece byte-pair encoding. ``tokens``: the token list; ids are places in it."""

    def __init__(self, tokens: Sequence[str]):
        self.tokens = list(tokens)
        self._ids = {token: index for index, token in enumerate(self.tokens)}

    @staticmethod
    def train(texts: Sequence[str], num_tokens: int) -> tuple[list[str], bytes]:
        """Trains on these texts: the token list (blank first) and its :func:`sentencepiece_model`. Raises InputError when the
        texts are too few for so many tokens.
        """
        import sentencepiece

        model = io.BytesIO()
        try:
            sentencepiece.SentencePieceTrainer.train(
                sentence_iterator=iter(texts),
                model_writer=model,
                model_type="bpe",
                normalization_rule_name="identity",  # texts are normalised; any other rule drops joiners
                vocab_size=num_tokens,
                character_coverage=1.0,
                bos_id=-1,
                eos_id=-1,
                minloglevel=2,
                num_threads=1,
            )
        except RuntimeError as error:
            reason = str(error).splitlines()[-1].rpartition("] ")[2].strip()
            raise InputError(f"cannot train {num_tokens} BPE tokens on {len(texts)} texts: {reason}") from error
        processor = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
        pieces = [processor.id_to_piece(i) for i in range(processor.get_piece_size())]
        tokens = [BLANK, UNKNOWN, *(piece for piece in pieces if piece != UNKNOWN)]
        return tokens, sentencepiece_model(tokens)

    def text_to_ids(self, text: str) -> list[int]:
        """Token ids of a normalised text; what training never showed becomes ``<unk>``."""
        return [self._ids.get(piece, self._ids[UNKNOWN]) for piece in self._processor.encode(text, out_type=str)]

    def ids_to_text(self, ids: Iterable[int]) -> str:
        """The text of token ids (without blanks), words separated by single spaces."""
        pieces = "".join(self.tokens[i] for i in ids if self.tokens[i] != UNKNOWN)
        return " ".join(pieces.replace(SENTENCEPIECE_SPACE, " ").split())

    @cached_property
    def _processor(self) -> "sentencepiece.SentencePieceProcessor":
        # Where nothing is trained, no text is cut into tokens either, and SentencePiece is not needed.
        import sentencepiece

        return sentencepiece.SentencePieceProcessor(model_proto=sentencepiece_model(self.tokens))


Tokenizer = CharTokenizer | BPETokenizer


def sentencepiece_model(tokens: Sequence[str]) -> bytes:
    """The SentencePiece model of a list of BPE tokens, blank and unknown first: ``bpe.model``. A piece's place in the list is
    its rank among merges, and no text is changed before it is cut, so the list says all. SentencePiece's loader trusts what it
    reads (CVE-2026-1260); it is given no other model than one made here. Returns a ``ModelProto`` of
    ``sentencepiece_model.proto``, serialised.
    """
    normal, unknown, bpe, none = 1, 2, 2, -1
    model = b""
    for rank, piece in enumerate(tokens[1:]):
        kind = unknown if rank == 0 else normal
        score = struct.pack("<Bf", 2 << 3 | 5, float(-max(rank - 1, 0)))
        model += _field(1, _field(1, piece.encode()) + score + _field(3, kind))
    trainer = {3: bpe, 4: len(tokens) - 1, 40: 0, 41: none, 42: none, 43: none}
    model += _field(2, b"".join(_field(number, value) for number, value in trainer.items()))
    return model + _field(3, _field(1, b"identity"))


def _field(number: int, value: int | bytes) -> bytes:
    """A field of a message in Protocol Buffers: a whole number, or bytes."""
    if isinstance(value, bytes):
        return _varint(number << 3 | 2) + _varint(len(value)) + value
    return _varint(number << 3) + _varint(value % 2**64)


def _varint(value: int) -> bytes:
    """Seven bits in a byte, the lowest first; the eighth says that more follow."""
    groups = [value >> shift & 0x7F for shift in range(0, max(value.bit_length(), 1), 7)]
    return bytes([group | 0x80 for group in groups[:-1]] + groups[-1:])


def load_tokenizer(folder: Path) -> Tokenizer:
    """The tokenizer in a folder: ``tokens.txt``, and ``bpe.model`` where it is BPE. Raises InputError when the folder has no
    token list, or a damaged one.
    """
    path = folder / "tokens.txt"
    if not path.is_file():
        raise InputError(f"{path} is missing: run stage 2, which makes it")
    bpe_model = folder / "bpe.model"
    try:
        tokens = _read_tokens(path)
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8; run stage 2 again") from error
    first = [BLANK, UNKNOWN] if bpe_model.is_file() else [BLANK, UNKNOWN, SPACE]
    if tokens[: len(first)] != first or len(set(tokens)) < len(tokens) or "" in tokens:
        raise InputError(f"{path}: a token list begins with {' '.join(first)} and has each token once; run stage 2 again")
    _check_odd_tokens(path, tokens)
    if not bpe_model.is_file():
        return CharTokenizer(tokens)
    if read_small_file(bpe_model, _MAX_BPE_BYTES) != sentencepiece_model(tokens):
        raise InputError(f"{bpe_model}: not a SentencePiece model of the tokens next to it; run stage 2 again")
    return BPETokenizer(tokens)


def save_tokenizer(folder: Path, tokens: Sequence[str], bpe_model: bytes | None = None) -> None:
    """Writes what :func:`load_tokenizer` reads, each file whole. Raises InputError when the list is one that would not be
    read.
    """
    _check_odd_tokens(folder / "tokens.txt", tokens)
    folder.mkdir(parents=True, exist_ok=True)
    remove_unfinished(folder)
    atomic_write(folder / "tokens.txt", "".join(f"{token}\n" for token in tokens))
    if bpe_model is not None:
        atomic_write(folder / "bpe.model", bpe_model)


def copy_tokenizer(source: Path, target: Path) -> Path:
    """Copies a tokenizer next to the model that uses it; returns ``target``."""
    bpe_model = source / "bpe.model"
    save_tokenizer(target, _read_tokens(source / "tokens.txt"), bpe_model.read_bytes() if bpe_model.is_file() else None)
    return target


def _check_odd_tokens(path: Path, tokens: Sequence[str]) -> None:
    for number, token in enumerate(tokens, 1):
        if len(token) > MAX_TOKEN or not is_token(token):
            raise InputError(f"{path}:{number}: {token[:80]!r} is no token of a transcript; run stage 2 again")
    num_bytes = len(json.dumps(tokens))
    if len(tokens) > MAX_TOKENS or num_bytes > _MAX_LIST_BYTES:
        raise InputError(
            f"{path}: {len(tokens):,} tokens of {num_bytes:,} bytes, at most {MAX_TOKENS:,} of {_MAX_LIST_BYTES:,} are read; "
            f"take fewer (--nbpe)"
        )


def _read_tokens(path: Path) -> list[str]:
    # Not by str.splitlines, which breaks at characters that may be tokens.
    return read_small_file(path, _MAX_LIST_BYTES).decode().removesuffix("\n").split("\n")


def collapse(frame_ids: Iterable[int], blank: int = 0) -> list[int]:
    """Best-path CTC decoding: repeats merged, then blanks dropped.

    >>> collapse([0, 3, 3, 0, 3, 4, 0])
    [3, 3, 4]
    """
    ids, previous = [], blank
    for current in frame_ids:
        if current not in (previous, blank):
            ids.append(current)
        previous = current
    return ids
