"""The card of a packed model: what it has heard, how it was chosen, how well it does, and what it may be used for."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from espnet_ser.corpus.counts import FOUR_CLASS
from espnet_ser.corpus.iemocap import EMOTIONS
from espnet_ser.data.datadir import Example
from espnet_ser.intervals import NUM_BOOTSTRAP, intervals
from espnet_ser.report.grid import MISSING, Grid, code_markdown, grid_markdown, interval, number, spread, text_markdown
from espnet_ser.report.wording import SCORE_NAMES, SELECTION_NOTES, absence_notes, scored_folds
from espnet_ser.scoring import score

IEMOCAP, SYNTHETIC, OTHER = "IEMOCAP", "synthetic", "other"
"""What a model was trained on, as far as it can be told from the data."""

_DATA = {
    IEMOCAP: "The data has the published counts of IEMOCAP, class by class and speaker by speaker.",
    SYNTHETIC: "The data is not IEMOCAP: a program spoke it, laid out in the same way. The scores say nothing about people.",
    OTHER: "The data does not have the published counts of IEMOCAP: it is another corpus, or a part of IEMOCAP.",
}
_LICENCES = {
    IEMOCAP: "IEMOCAP is given by its authors for research, on request (https://sail.usc.edu/iemocap/), and its licence binds "
    "whoever publishes or uses what was trained on it. No audio, label list or transcript of it is part of this repository.",
    SYNTHETIC: "The speech was made by espeak-ng from texts of the recipe; there are no recordings of people.",
    OTHER: "The licence of the corpus binds whoever publishes or uses what was trained on it. No audio, label list or "
    "transcript of it is part of this repository.",
}
_CITATIONS = {
    "paper": """@inproceedings{gao2023twostage,
  author = {Yuan Gao and Chenhui Chu and Tatsuya Kawahara},
  title = {Two-stage Finetuning of Wav2vec 2.0 for Speech Emotion Recognition with ASR and Gender Pretraining},
  booktitle = {Proc. Interspeech},
  year = {2023}
}""",
    IEMOCAP: """@article{busso2008iemocap,
  author = {Carlos Busso and Murtaza Bulut and Chi-Chun Lee and Abe Kazemzadeh and Emily Mower and Samuel Kim and
            Jeannette N. Chang and Sungbok Lee and Shrikanth S. Narayanan},
  title = {{IEMOCAP}: interactive emotional dyadic motion capture database},
  journal = {Language Resources and Evaluation},
  volume = {42},
  number = {4},
  pages = {335--359},
  year = {2008}
}""",
}
_USE = {
    "emotion": """```python
import soundfile
from transformers import pipeline

classify = pipeline("audio-classification", "THIS_REPOSITORY")
waveform, rate = soundfile.read("speech.wav", dtype="float32")  # one utterance, mono
classify({"raw": waveform, "sampling_rate": rate})
```""",
    "asr": """```python
from transformers import AutoModelForCTC, AutoProcessor

model, processor = (kind.from_pretrained("THIS_REPOSITORY", subfolder="heads/ctc") for kind in (AutoModelForCTC, AutoProcessor))
logits = model(**processor(waveform, sampling_rate=16000, return_tensors="pt")).logits
processor.batch_decode(logits.argmax(-1))
```""",
}


@dataclass(frozen=True)
class CardFacts:
    """All that a card tells.

    Attributes:
        system: Name of the system.
        fold: Name of the fold whose model it is.
        encoder: The pretrained encoder's name.
        norm: ``group`` or ``layer``, the encoder's; None for another kind of encoder.
        labels: Class names of each utterance task of the SER model.
        trained_on: Training, in words -> what :func:`espnet_ser.provenance.describe_training_data` says of it.
        test: The utterances that the fold holds out.
        corpus: From :func:`corpus_of`.
        lines: The model's predictions of the held-out utterances (``predictions_last.jsonl``).
        results: The system's ``results.json``.
        settings: The settings of ``run.json``.
        command: The command that trained and scored, as ``run.json`` has it.
        exported: Task -> its folder in plain transformers' format.
        left_out: Task -> why there is none.
        measured: From :func:`espnet_ser.export.onnx.measure`; None where it was not.
        onnx: Whether there is an ONNX export.
    """

    system: str
    fold: str
    encoder: str
    norm: str | None
    labels: Mapping[str, Sequence[str]]
    trained_on: Mapping[str, Mapping]
    test: Sequence[Example]
    corpus: str
    lines: Sequence[Mapping]
    results: Mapping
    settings: Mapping[str, object] = field(default_factory=dict)
    command: str = ""
    exported: Mapping[str, str] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)
    measured: Mapping | None = None
    onnx: bool = False


def corpus_of(four_class: Sequence[Example]) -> str:
    """Whether utterances are IEMOCAP's: told by their counts, and from a spoken release by its mark.

    Args:
        four_class: All utterances of the four classes.
    """
    from espnet_ser.corpus.synthetic import DATA_STAMP

    folders = {Path(example.wav).parent for example in four_class}
    if any((parent / DATA_STAMP).is_file() for folder in folders for parent in (folder, *folder.parents)):
        return SYNTHETIC
    found = Counter((example.session, example.gender, example.emotion) for example in four_class)
    published = {
        (str(session), gender, emotion): count
        for (session, gender), row in FOUR_CLASS.items()
        for emotion, count in zip(EMOTIONS, row, strict=True)
    }
    return IEMOCAP if dict(found) == published else OTHER


def model_card(facts: CardFacts) -> str:
    """The card as Markdown, with the header that the Hugging Face hub reads."""
    sections = [
        f"# {text_markdown(facts.system)}, fold {text_markdown(facts.fold)}",
        f"Speech emotion recognition: {_listed(facts.labels['emotion'])}. Encoder: {_encoder(facts)}. Trained by espnet-ser, "
        "an implementation of Gao, Chu & Kawahara (Interspeech 2023).",
        f"## Use\n\n{_use(facts)}",
        f"## What it has heard\n\n{grid_markdown(_heard(facts))}\n\n{_DATA[facts.corpus]}",
        f"## How it was selected\n\n{_selected(facts)}",
        f"## Scores\n\n{_scores(facts)}",
        f"## Limits\n\n{_bullets(_limits(facts))}",
        f"## Licence of the data\n\n{_LICENCES[facts.corpus]}",
        f"## Citation\n\n{_citations(facts)}",
    ]
    return _header(facts) + "\n\n".join(sections) + "\n"


def without_places(command: str) -> str:
    """A command line in which a path from the root is its last name: cards are passed on, and folders tell whose they are.

    >>> without_places("/home/me/egs/run.sh --iemocap /corpora/IEMOCAP --expdir=exp")
    '.../run.sh --iemocap .../IEMOCAP --expdir=exp'
    """
    return re.sub(r"(?<![\w.~])~?/((\\.|[^\s'\"\\/])+/)*", ".../", command)


def _header(facts: CardFacts) -> str:
    tags = ["speech-emotion-recognition", "espnet", "wav2vec2", *(["onnx"] if facts.onnx else [])]
    content = {"license": "other", "license_name": "licence-of-the-training-data", "tags": tags}
    if "emotion" in facts.exported:
        content |= {"library_name": "transformers", "pipeline_tag": "audio-classification"}
    return f"---\n{yaml.safe_dump(content, sort_keys=False)}---\n\n"


def _encoder(facts: CardFacts) -> str:
    return text_markdown(facts.encoder) if facts.norm else "a CNN-LSTM on spectrograms"


def _use(facts: CardFacts) -> str:
    parts = []
    if facts.exported:
        parts.append(f"With plain transformers, {_listed(facts.exported)}:")
        parts += [_USE[task] for task in _USE if task in facts.exported]
        others = [task for task in facts.exported if task not in _USE]
        parts += [f"`{facts.exported[task]}/` is a classifier of {text_markdown(task)} in the same way." for task in others]
    parts += [f"Not for plain transformers: {text_markdown(task)} ({reason})." for task, reason in facts.left_out.items()]
    models = "the SER model and its stage-1 model" if len(facts.trained_on) > 1 else "the model"
    parts.append(
        f"`espnet/` is {models} as espnet-ser reads it, and ESPnet's model zoo with `meta.yaml`: every head, and padding that "
        "never changes a score."
    )
    if facts.onnx:
        parts.append("`onnx/` is for ONNX Runtime: see [its README](onnx/README.md).")
    return "\n\n".join(parts)


def _heard(facts: CardFacts) -> Grid:
    rows = [
        (name, ", ".join(data["sessions"]), ", ".join(data["speakers"]), str(data["num_utts"]))
        for name, data in facts.trained_on.items()
    ]
    sessions, speakers = (sorted({getattr(example, key) for example in facts.test}) for key in ("session", "speaker"))
    rows.append(("held out, never heard", ", ".join(sessions), ", ".join(speakers), str(len(facts.test))))
    return Grid("", ("", "sessions", "speakers", "utterances"), tuple(rows))


def _selected(facts: CardFacts) -> str:
    epochs = facts.settings.get("max_epoch")
    last = f"the last of {epochs} epochs" if epochs else "the last epoch"
    which = f"{last}: no score chose them" if facts.results["headline"] == "last" else "the epoch that the dev part chose"
    return (
        f"These are the weights of {which}. The fold was not chosen by its scores either, unless whoever "
        f"packed it says so here: by default it is the first. Other ways of choosing the epoch, in the table, are scores of "
        f"other weights."
    )


def _scores(facts: CardFacts) -> str:
    scores = score(facts.lines)
    trust = intervals(*([[line[key] for line in facts.lines]] for key in ("ref", "hyp", "speaker")))
    columns = {
        **{name: f"{number(scores[name])} ({interval(trust[name]['ci95'])})" for name in ("ua", "wa")},
        **{name: number(scores[name]) for name in ("gender_ua", "style_ua", "wer") if scores[name] is not None},
    }
    own = Grid("", ("", *(SCORE_NAMES[name] for name in columns)), (("this model", *columns.values()),))
    summary = facts.results["summary"]
    rows = tuple(
        (name, *(cell for s in ("ua", "wa") for cell in _cells(by[s]))) for name in SELECTION_NOTES if (by := summary.get(name))
    )
    of_score = ("mean over folds", "pooled", "95 %, utterances", "95 %, speakers")
    system = Grid("", ("epoch chosen by", *(f"{name}, {column}" for name in ("UA", "WA") for column in of_score)), rows)
    told = [task for task in facts.results.get("from_stage1", [])]
    lines = [
        f"In percent, on the {len(facts.lines)} held-out utterances, with 95 % intervals ({NUM_BOOTSTRAP} bootstrap draws over "
        f"utterances; speakers vary too, and there are {len({line['speaker'] for line in facts.lines})}):",
        grid_markdown(own),
    ]
    if told:
        lines.append(f"Told by the stage-1 model: {_listed(told)}.")
    lines += [
        f"The system over {text_markdown(scored_folds(facts.results))}: mean ± deviation over folds, and the pooled score (of "
        "all folds' utterances together) with its intervals over other utterances and over other speakers:",
        grid_markdown(system),
        _bullets(
            [
                *(f"`{name}`: {SELECTION_NOTES[name]}." for name in SELECTION_NOTES if name in summary),
                *absence_notes(facts.results),
            ]
        ),
    ]
    if facts.measured:
        lines.append(measured_markdown(facts.measured))
    if facts.settings:
        lines.append("Trained with: " + "; ".join(f"{key} {code_markdown(str(v))}" for key, v in facts.settings.items()) + ".")
    if facts.command:
        lines.append(f"Scored by the command {code_markdown(without_places(facts.command))}.")
    return "\n\n".join(lines)


def _cells(score: Mapping) -> tuple[str, ...]:
    """A score of the system: mean over folds, pooled, and the latter's intervals."""
    ends = (interval(score[key]) or MISSING for key in ("ci95", "ci95_speakers"))
    return spread(score), number(score["pooled"]), *ends


def measured_markdown(measured: Mapping) -> str:
    """The table of what :func:`espnet_ser.export.onnx.measure` found."""
    kinds = {"pytorch": "PyTorch", "model.onnx": "ONNX, float32", "model_int8.onnx": "ONNX, int8"}
    header = ("", "UA", "WA", "largest difference of a posterior", "seconds per second of audio")
    rows = []
    for key, name in kinds.items():
        by = measured[key]
        more = [f"{by[value]:.2g}" if value in by else "–" for value in ("largest_difference", "real_time_factor")]
        rows.append((name, number(by["ua"]), number(by["wa"]), *more))
    text = f"ONNX, on {measured['num_utts']} held-out utterances ({measured['audio_s']} s, {measured['threads']} threads):"
    return f"{text}\n\n{grid_markdown(Grid('', header, tuple(rows)))}"


def _limits(facts: CardFacts) -> list[str]:
    speakers = {speaker for data in facts.trained_on.values() for speaker in data["speakers"]}
    limits = [
        f"It has heard {len(speakers)} speakers in the recordings of one corpus. How it does on other people, languages, "
        "microphones and occasions is not known, and lower scores are to be expected.",
        f"It knows {_listed(facts.labels['emotion'])}, and puts every recording, silence too, into one of them.",
        "It tells how its corpus would label a voice (IEMOCAP: how raters heard actors), not what a person feels. It is no "
        "ground for decisions about people.",
        "16 kHz, mono, one utterance at a time; the corpus has utterances of some seconds.",
    ]
    if facts.norm == "group" and facts.exported:
        limits.append(
            "Plain transformers averages this encoder's group norm over padding: there, give it one utterance at a time, or "
            "batches of one length. espnet-ser and the ONNX export do not depend on padding."
        )
    return limits


def _citations(facts: CardFacts) -> str:
    wanted = ["paper", *([IEMOCAP] if facts.corpus == IEMOCAP else [])]
    return "\n\n".join(f"```bibtex\n{_CITATIONS[name]}\n```" for name in wanted)


def _listed(names: Sequence[str] | Mapping[str, object]) -> str:
    return ", ".join(map(text_markdown, names))


def _bullets(lines) -> str:
    return "\n".join(f"- {line}" for line in lines)
