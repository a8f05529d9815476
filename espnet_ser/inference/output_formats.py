"""Predictions of recordings as text: a table for people; JSON lines, CSV and Kaldi's format for programs."""

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from espnet_ser.characters import name_fault, spelt_out
from espnet_ser.data.audio_list import FOUND_SUFFIXES, STANDARD_INPUT, NamedAudio
from espnet_ser.errors import InputError, one_line
from espnet_ser.evaluation.predictions import predictions_text
from espnet_ser.inference.prediction import Decision, Prediction
from espnet_ser.tasks_table import MAIN_TASK, auxiliary
from espnet_ser.utils.atomic import atomic_path
from espnet_ser.utils.say import aligned


class Predicted(NamedTuple):
    """A recording and its prediction."""

    audio: NamedAudio
    prediction: Prediction

    def where(self) -> list[str]:
        """Its id and its file."""
        return [self.audio.utt, STANDARD_INPUT if self.audio.path is None else str(self.audio.path)]


def table_text(results: Sequence[Predicted]) -> str:
    """Aligned columns: a line for each recording and, below one that was cut, one for each window. Columns that no recording
    fills are left out.
    """
    emotions = list(results[0].prediction.scores or {})
    rows = [["utt", "label", *emotions, *_further_columns(), "speech"]]
    for audio, prediction in results:
        others = [*_further(prediction, 3), "" if prediction.speech else "none: too soft"]
        rows.append([audio.utt, *_emotion(prediction.label, prediction.scores, 3), *others])
        for moment in prediction.timeline:
            span = f"{moment.start_s:8.2f} to {moment.end_s:.2f} s"
            rows.append([span, *_emotion(moment.label, moment.scores, 3), *[""] * len(others)])
    filled = [tuple(map(one_line, column)) for column in zip(*rows, strict=True) if any(column[1:])]
    return "".join(f"{line}\n" for line in aligned(zip(*filled, strict=True)))


def jsonl_text(results: Sequence[Predicted]) -> str:
    """A line of JSON for each recording.

    Its fields: ``utt``, ``file``, ``label`` and ``scores`` of the emotion, each further task (``gender``, ``style``, ``text``,
    ...), ``duration_s``, ``speech``, ``timeline``.

    What is not predicted is null. Posteriors keep six decimals.
    """
    lines = []
    for result in results:
        utt, file = result.where()
        fields = asdict(replace(result.prediction, embedding=None))
        outputs = fields.pop("outputs")
        del fields["embedding"]
        emotion = outputs.get(MAIN_TASK) or {"label": None, "scores": None}
        further = {spec.field: outputs.get(spec.name) for spec in auxiliary()}
        lines.append({"utt": utt, "file": file, **emotion, **further, **fields})
    return predictions_text(lines)


def csv_text(results: Sequence[Predicted]) -> str:
    """A row for each recording, ``window`` empty; after one that was cut, a row for each window, counted from 1. Columns:
    ``utt, file, window, start_s, end_s, label``, the posterior of each emotion, the further tasks (``gender, style, text``),
    and ``speech``, ``true`` or ``false``. Characters that are not shown are spelt out (line ends are quoted), and text that a
    spreadsheet would compute (it begins with ``= + - @``) has a ``'`` before it; JSON lines hold all as it is.
    """
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    emotions = list(results[0].prediction.scores or {})
    head = ["utt", "file", "window", "start_s", "end_s", "label", *emotions, *_further_columns(), "speech"]
    writer.writerow(map(csv_cell, head))
    for result in results:
        prediction = result.prediction
        others = [*_further(prediction, 6), str(prediction.speech).lower()]
        whole = ["", 0, round(prediction.duration_s, 6)]
        row = [*result.where(), *whole, *_emotion(prediction.label, prediction.scores, 6), *others]
        writer.writerow(map(csv_cell, row))
        for number, moment in enumerate(prediction.timeline, 1):
            window = [number, round(moment.start_s, 6), round(moment.end_s, 6)]
            row = [*result.where(), *window, *_emotion(moment.label, moment.scores, 6), *[""] * len(others)]
            writer.writerow(map(csv_cell, row))
    return file.getvalue()


def csv_cell(value: str | float | None) -> str | float | None:
    r"""A cell of a CSV file that spreadsheets show and do not compute.

    >>> csv_cell("=1+1"), csv_cell("a\x1b"), csv_cell(-1.5)
    ("'=1+1", 'a\\x1b', -1.5)
    """
    if not isinstance(value, str):
        return value
    text = spelt_out(value, keep="\n")
    return f"'{text}" if text.lstrip().startswith(_FORMULA_STARTS) else text


def kaldi_text(results: Sequence[Predicted]) -> str:
    """``utt2emotion``: a line for each recording, its id and its emotion, sorted by id."""
    return "".join(sorted(f"{audio.utt} {prediction.label}\n" for audio, prediction in results))


FORMATS: Mapping[str, Callable[[Sequence[Predicted]], str]] = {
    "table": table_text,
    "jsonl": jsonl_text,
    "csv": csv_text,
    "kaldi": kaldi_text,
}
"""Name -> what writes one recording or more."""

_FORMULA_STARTS = tuple("=+-@\uff1d\uff0b\uff0d\uff20")  # full-width ones too, which some spreadsheets take for the others

EMBEDDING_SUFFIXES = (".npz", ".ark")  # of NumPy's archives and Kaldi's


def write_embeddings(path: Path, results: Sequence[Predicted]) -> None:
    """Writes embeddings, whole: ``utts`` [n] and ``embeddings`` [n, dim] as ``.npz``, or vectors by id as ``.ark``."""
    utts = [audio.utt for audio, _ in results]
    embeddings = [prediction.embedding for _, prediction in results]
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        if path.suffix == ".npz":
            np.savez(file, utts=np.array(utts), embeddings=np.stack(embeddings))
        else:
            import kaldiio

            kaldiio.save_ark(file, dict(sorted(zip(utts, embeddings, strict=True))))


def check_outputs(output: Path | None, embedding: Path | None) -> None:
    """Stops before the work where what comes of it could not be written, or would take the place of what is no text.
    ``output``: file for the text, if any; ``embedding``: file for the embeddings, if any. Raises InputError: names the option
    and what to give it.
    """
    if embedding is not None and embedding.suffix not in EMBEDDING_SUFFIXES:
        raise InputError(f"--embedding {embedding}: the name must end in {' or '.join(EMBEDDING_SUFFIXES)}")
    if output is not None and output.suffix.lower() in (*FOUND_SUFFIXES, ".scp"):
        raise InputError(f"--output {output}: a name of audio; name a file for the predictions")
    if output is not None and output == embedding:
        raise InputError(f"--output {output}: also the file of --embedding; give two names")
    for option, path in (("--output", output), ("--embedding", embedding)):
        if path is not None and not path.parent.is_dir():
            raise InputError(f"{option} {path}: {path.parent} is no folder; make it first")
        if path is not None and path.exists() and not path.is_file():
            raise InputError(f"{option} {path}: there, and no file; give another name")


def check_kaldi_ids(utts: Iterable[str]) -> None:
    """Stops at ids that no file of Kaldi's can hold. Raises InputError for an id that is there twice, or is no single word."""
    seen = set()
    for utt in utts:
        if name_fault(utt):
            raise InputError(f"{utt}: no id for Kaldi, which wants a single word; give the audio one in a wav.scp")
        if utt in seen:
            raise InputError(f"{utt}: there twice, and ids for Kaldi differ; give the audio ids in a wav.scp")
        seen.add(utt)


def _emotion(label: str | None, scores: Mapping[str, float] | None, decimals: int) -> list[str]:
    return [label or "", *(f"{score:.{decimals}f}" for score in (scores or {}).values())]


def _further_columns() -> list[str]:
    return [spec.field for spec in auxiliary()]


def _further(prediction: Prediction, decimals: int) -> list[str]:
    """What is predicted besides the emotion: a class, a number or a text each, '' for what is not."""
    outputs = [prediction.outputs.get(spec.name, "") for spec in auxiliary()]
    outputs = [output.label if isinstance(output, Decision) else output for output in outputs]
    return [f"{output:.{decimals}f}" if isinstance(output, float) else output for output in outputs]
