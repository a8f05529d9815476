"""Token lists for CTC: made from a fold's training text, and from nothing else.

A token list is one token per line, the blank first. Characters are upper case with ``<space>`` between words, as in the
wav2vec 2.0 CTC models; SentencePiece BPE is the option.
"""

import io
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from espnet_ser.bounded import read_small_file
from espnet_ser.errors import InputError
from espnet_ser.stamp import atomic_write

BLANK, UNKNOWN, SPACE = "<blank>", "<unk>", "<space>"
SENTENCEPIECE_SPACE = "\u2581"

MAX_LIST_BYTES = 2 << 20
MAX_BPE_BYTES = 16 << 20


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
    """SentencePiece byte-pair encoding.

    SentencePiece itself is asked only to spell text, while training: a stranger's model is not given to it to transcribe.

    Args:
        tokens: The token list; ids are places in it.
        model: The SentencePiece model, serialised.
    """

    def __init__(self, tokens: Sequence[str], model: bytes):
        self.tokens = list(tokens)
        self._ids = {token: index for index, token in enumerate(self.tokens)}
        self._model = model
        self._processor = None

    @staticmethod
    def train(texts: Sequence[str], num_tokens: int) -> tuple[list[str], bytes]:
        """Trains on these texts: the token list (blank first) and the serialised model.

        Raises:
            InputError: When the texts are too few for so many tokens.
        """
        import sentencepiece

        model = io.BytesIO()
        try:
            sentencepiece.SentencePieceTrainer.train(
                sentence_iterator=iter(texts),
                model_writer=model,
                model_type="bpe",
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
        return _bpe_tokens(pieces), model.getvalue()

    def text_to_ids(self, text: str) -> list[int]:
        """Token ids of a normalised text.

        Raises:
            InputError: When SentencePiece cannot read its model.
        """
        if self._processor is None:
            import sentencepiece

            try:
                self._processor = sentencepiece.SentencePieceProcessor(model_proto=self._model)
            except RuntimeError as error:
                raise InputError("bpe.model: not a SentencePiece model; run stage 2 again") from error
        return [self._ids.get(piece, self._ids[UNKNOWN]) for piece in self._processor.encode(text, out_type=str)]

    def ids_to_text(self, ids: Iterable[int]) -> str:
        """The text of token ids (without blanks), words separated by single spaces."""
        pieces = "".join(self.tokens[i] for i in ids if self.tokens[i] != UNKNOWN)
        return " ".join(pieces.replace(SENTENCEPIECE_SPACE, " ").split())


Tokenizer = CharTokenizer | BPETokenizer


def load_tokenizer(folder: Path) -> Tokenizer:
    """The tokenizer in a folder: ``tokens.txt``, and ``bpe.model`` where it is BPE.

    Raises:
        InputError: When the folder has no token list, or the two are damaged or not of each other.
    """
    path = folder / "tokens.txt"
    if not path.is_file():
        raise InputError(f"{path} is missing: run stage 2, which makes it")
    try:
        tokens = read_small_file(path, MAX_LIST_BYTES).decode().splitlines()
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 ({error.reason}); run stage 2 again") from error
    if tokens[:2] != [BLANK, UNKNOWN]:
        raise InputError(f"{path}: a token list begins with {BLANK} and {UNKNOWN}; run stage 2 again")
    bpe_model = folder / "bpe.model"
    if not bpe_model.exists():
        return CharTokenizer(tokens)
    model = read_small_file(bpe_model, MAX_BPE_BYTES)
    try:
        pieces = sentencepiece_pieces(model)
    except (ValueError, IndexError) as error:
        raise InputError(f"{bpe_model}: not a SentencePiece model; run stage 2 again") from error
    if tokens != _bpe_tokens(pieces):
        raise InputError(f"{bpe_model}: has other pieces than {path.name} beside it; run stage 2 again")
    return BPETokenizer(tokens, model)


def sentencepiece_pieces(model: bytes) -> list[str]:
    """The pieces of a serialised SentencePiece model, in order, read without SentencePiece.

    Raises:
        ValueError: When the bytes are no such thing.
        IndexError: When they end too early.
    """
    pieces = [dict(_protobuf_fields(value)) for number, value in _protobuf_fields(model) if number == 1]
    texts = [piece.get(1) for piece in pieces]
    if not texts or not all(isinstance(text, bytes) for text in texts):
        raise ValueError("no pieces")
    return [text.decode() for text in texts]


def _protobuf_fields(message: bytes | int) -> Iterator[tuple[int, bytes | int]]:
    """Number and value of each field of a message in protocol buffers' format."""
    if not isinstance(message, bytes):
        raise ValueError("a number where a message should be")
    at = 0

    def varint() -> int:
        nonlocal at
        value, shift = 0, 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value
            if shift > 63:
                raise ValueError("too large a number")

    while at < len(message):
        key = varint()
        kind = key & 7
        if kind == 0:
            yield key >> 3, varint()
            continue
        if kind not in (1, 2, 5):
            raise ValueError(f"a field of kind {kind}")
        size = varint() if kind == 2 else {1: 8, 5: 4}[kind]
        if at + size > len(message):
            raise IndexError("a field that is longer than the message")
        yield key >> 3, message[at : at + size]
        at += size


def _bpe_tokens(pieces: Sequence[str]) -> list[str]:
    return [BLANK, UNKNOWN, *(piece for piece in pieces if piece != UNKNOWN)]


def save_tokenizer(folder: Path, tokens: Sequence[str], bpe_model: bytes | None = None) -> None:
    """Writes what :func:`load_tokenizer` reads, each file whole."""
    folder.mkdir(parents=True, exist_ok=True)
    atomic_write(folder / "tokens.txt", "".join(f"{token}\n" for token in tokens))
    if bpe_model is not None:
        atomic_write(folder / "bpe.model", bpe_model)


def copy_tokenizer(source: Path, target: Path) -> Path:
    """Copies a tokenizer beside the model that uses it; returns ``target``."""
    bpe_model = source / "bpe.model"
    tokens = (source / "tokens.txt").read_text(encoding="utf-8").splitlines()
    save_tokenizer(target, tokens, bpe_model.read_bytes() if bpe_model.is_file() else None)
    return target


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
