"""Token lists for CTC: made from a fold's training text, and from nothing else.

A token list is one token per line, the blank first. Characters are upper case with ``<space>`` between words, as in the
wav2vec 2.0 CTC models; SentencePiece BPE is the option.
"""

import io
from collections.abc import Iterable, Sequence
from pathlib import Path

from espnet_ser.bounded import read_small_file
from espnet_ser.errors import InputError
from espnet_ser.stamp import atomic_write, remove_unfinished

BLANK, UNKNOWN, SPACE = "<blank>", "<unk>", "<space>"
SENTENCEPIECE_SPACE = "\u2581"

_MAX_LIST_BYTES = 2 << 20
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
    """SentencePiece byte-pair encoding.

    Args:
        tokens: The token list; ids are places in it.
        model: The SentencePiece model, serialised.
    """

    def __init__(self, tokens: Sequence[str], model: bytes):
        import sentencepiece

        self.tokens = list(tokens)
        self._ids = {token: index for index, token in enumerate(self.tokens)}
        self._processor = sentencepiece.SentencePieceProcessor(model_proto=model)

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
        return [BLANK, UNKNOWN, *(piece for piece in pieces if piece != UNKNOWN)], model.getvalue()

    def text_to_ids(self, text: str) -> list[int]:
        """Token ids of a normalised text."""
        return [self._ids.get(piece, self._ids[UNKNOWN]) for piece in self._processor.encode(text, out_type=str)]

    def ids_to_text(self, ids: Iterable[int]) -> str:
        """The text of token ids (without blanks), words separated by single spaces."""
        pieces = "".join(self.tokens[i] for i in ids if self.tokens[i] != UNKNOWN)
        return " ".join(pieces.replace(SENTENCEPIECE_SPACE, " ").split())


Tokenizer = CharTokenizer | BPETokenizer


def load_tokenizer(folder: Path) -> Tokenizer:
    """The tokenizer in a folder: ``tokens.txt``, and ``bpe.model`` where it is BPE.

    Raises:
        InputError: When the folder has no token list, or a damaged one.
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
    if not bpe_model.is_file():
        return CharTokenizer(tokens)
    try:
        return BPETokenizer(tokens, read_small_file(bpe_model, _MAX_BPE_BYTES))
    except (RuntimeError, ValueError) as error:
        raise InputError(f"{bpe_model}: not a SentencePiece model; run stage 2 again") from error


def save_tokenizer(folder: Path, tokens: Sequence[str], bpe_model: bytes | None = None) -> None:
    """Writes what :func:`load_tokenizer` reads, each file whole."""
    folder.mkdir(parents=True, exist_ok=True)
    remove_unfinished(folder)
    atomic_write(folder / "tokens.txt", "".join(f"{token}\n" for token in tokens))
    if bpe_model is not None:
        atomic_write(folder / "bpe.model", bpe_model)


def copy_tokenizer(source: Path, target: Path) -> Path:
    """Copies a tokenizer beside the model that uses it; returns ``target``."""
    bpe_model = source / "bpe.model"
    save_tokenizer(target, _read_tokens(source / "tokens.txt"), bpe_model.read_bytes() if bpe_model.is_file() else None)
    return target


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
