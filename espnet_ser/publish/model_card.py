"""The card of a packed model: what it was trained on, how it was chosen, how well it does, and what it may be used for."""

import re
from collections.abc import Mapping, Sequence

from espnet_ser.evaluation.intervals import NUM_BOOTSTRAP
from espnet_ser.evaluation.metrics import auxiliary_scores, score_names
from espnet_ser.publish.card_facts import IEMOCAP, NOT_STATED, OTHER, SYNTHETIC, CardFacts
from espnet_ser.publish.card_metadata import card_metadata
from espnet_ser.report.grid import MISSING, Grid, code_markdown, grid_markdown, interval, number, spread, text_markdown
from espnet_ser.report.wording import SELECTION_NOTES, absence_notes, scored_folds
from espnet_ser.tasks_table import MAIN_TASK, of_kind

_DATA = {
    IEMOCAP: "The data has the published counts of IEMOCAP, class by class and speaker by speaker.",
    SYNTHETIC: "A program spoke the data. The scores say nothing about people.",
    OTHER: "The data does not have the published counts of IEMOCAP: it is a part of it.",
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
READ = """import soundfile
import soxr

waveform, rate = soundfile.read("speech.wav", dtype="float32", always_2d=True)  # one utterance
waveform, rate = soxr.resample(waveform.mean(axis=1), rate, 16000), 16000  # as in training
"""
"""How the examples of a card read a file: as this package does, whatever its rate and channels."""

_USE = {
    "classes": """```python
from transformers import pipeline

classify = pipeline("audio-classification", "THIS_REPOSITORY")
print(classify({"raw": waveform, "sampling_rate": rate}, top_k=None))
```""",
    "ctc": """```python
from transformers import AutoModelForCTC, AutoProcessor

model, processor = (kind.from_pretrained("THIS_REPOSITORY", subfolder="heads/ctc") for kind in (AutoModelForCTC, AutoProcessor))
logits = model(**processor(waveform, sampling_rate=rate, return_tensors="pt")).logits
print(processor.batch_decode(logits.argmax(-1)))
```""",
}


def model_card(facts: CardFacts) -> str:
    """The card as Markdown, with the header that the Hugging Face hub reads."""
    sections = [
        f"# {text_markdown(facts.system)}, fold {text_markdown(facts.fold)}",
        f"Speech emotion recognition: {_listed(facts.labels[MAIN_TASK])}. Trained by espnet-ser, an implementation of Gao, Chu "
        "& Kawahara (Interspeech 2023).",
        f"## Use\n\n{_use(facts)}",
        f"## What it was trained on\n\n{_trained_on(facts)}",
        f"## How the epoch was chosen\n\n{_selected(facts)}",
        f"## Scores\n\n{_scores(facts)}",
        f"## Limits\n\n{_bullets(_limits(facts))}",
        f"## Licence of the data\n\n{_license(facts)}",
        f"## Citation\n\n{_citations(facts)}",
    ]
    return f"---\n{card_metadata(facts).to_yaml()}\n---\n\n" + "\n\n".join(sections) + "\n"


def without_places(command: str) -> str:
    """A command line in which a path from the root is its last name: cards are passed on, and folders tell whose they are.

    >>> without_places("/home/me/egs/run.sh --iemocap /corpora/IEMOCAP --expdir=exp")
    '.../run.sh --iemocap .../IEMOCAP --expdir=exp'
    """
    return re.sub(r"(?<![\w.~])~?/((\\.|[^\s'\"\\/])+/)*", ".../", command)


def _use(facts: CardFacts) -> str:
    parts = []
    if facts.exported:
        parts.append(
            f"With plain transformers, {_listed(facts.exported)}. In float32, posteriors are espnet-ser's to 1e-5, of a "
            "waveform at 16 kHz: at other rates transformers resamples in another way or not at all, which has moved a "
            "posterior by 0.07."
        )
        parts.append(f"```python\n{READ}```")
        words = of_kind("ctc", facts.exported)
        parts += [_USE["classes"]] if MAIN_TASK in facts.exported else []
        parts += [_USE["ctc"] for _ in words]
        others = [task for task in facts.exported if task not in (MAIN_TASK, *words)]
        parts += [f"`{facts.exported[task]}/` is a classifier of {text_markdown(task)} in the same way." for task in others]
    parts += [f"Not for plain transformers: {text_markdown(task)} ({reason})." for task, reason in facts.left_out.items()]
    models = "the SER model and its intermediate model" if len(facts.trained_on) > 1 else "the model"
    parts.append(
        f"`espnet/` is {models} as espnet-ser reads it, and ESPnet's model zoo with `meta.yaml`: every head, and padding that "
        "never changes a score."
    )
    if facts.onnx:
        parts.append("`onnx/` is for ONNX Runtime: see [its README](onnx/README.md).")
    return "\n\n".join(parts)


def _trained_on(facts: CardFacts) -> str:
    corpus = facts.corpus
    name, revision = facts.encoder_on_hub
    if not facts.norm:
        encoder = "a CNN-LSTM on spectrograms, trained here"
    elif name:
        encoder = (
            f"[{text_markdown(name)}](https://huggingface.co/{name}), revision {revision or NOT_STATED}; its licence is there"
        )
    else:
        encoder = f"{text_markdown(facts.encoder)}, its licence {NOT_STATED}"
    rows = [
        (name, ", ".join(data["sessions"]), ", ".join(data["speakers"]), str(data["num_utts"]))
        for name, data in facts.trained_on.items()
    ]
    sessions, speakers = (sorted({getattr(example, key) for example in facts.test}) for key in ("session", "speaker"))
    rows.append(("held out, not trained on", ", ".join(sessions), ", ".join(speakers), str(len(facts.test))))
    parts = [
        _bullets(
            (
                f"Corpus: {text_markdown(corpus.name or NOT_STATED)}{f' (<{corpus.url}>)' if corpus.url else ''}",
                f"Language: {text_markdown(', '.join(corpus.lang.split()) or NOT_STATED)}",
                f"Licence of the corpus: {text_markdown(corpus.license or NOT_STATED)}",
                f"Pretrained encoder: {encoder}",
            )
        ),
        grid_markdown(Grid("", ("", "sessions", "speakers", "utterances"), tuple(rows))),
    ]
    if facts.origin != OTHER or facts.is_iemocap:
        parts.append(_DATA[facts.origin])
    return "\n\n".join(parts)


def _selected(facts: CardFacts) -> str:
    epochs = facts.settings.get("max_epoch")
    last = f"the last of {epochs} epochs" if epochs else "the last epoch"
    which = f"{last}: no score chose them" if facts.results["headline"] == "last" else "the epoch that the dev part chose"
    return (
        f"These are the weights of {which}. The fold was not chosen by its scores either: unless another was asked for, it is "
        "the first. Other ways of choosing the epoch, in the table, are scores of other weights."
    )


def _scores(facts: CardFacts) -> str:
    scores, trust = facts.scores()
    columns = {
        **{name: f"{number(scores[name])} ({interval(trust[name]['ci95'])})" for name in ("ua", "wa")},
        **{name: number(scores[name]) for name in auxiliary_scores() if scores[name] is not None},
    }
    own = Grid("", ("", *(score_names()[name] for name in columns)), (("this model", *columns.values()),))
    summary = facts.results["summary"]
    rows = tuple(
        (name, *(cell for s in ("ua", "wa") for cell in _cells(by[s]))) for name in SELECTION_NOTES if (by := summary.get(name))
    )
    of_score = ("mean over folds", "pooled", "95 %, utterances", "95 %, speakers")
    system = Grid("", ("epoch chosen by", *(f"{name}, {column}" for name in ("UA", "WA") for column in of_score)), rows)
    from_stage1 = facts.results.get("from_stage1", [])
    lines = [
        f"In percent, on the {len(facts.lines)} held-out utterances, with 95 % intervals ({NUM_BOOTSTRAP} bootstrap draws over "
        f"utterances; speakers vary too, and there are {len({line['speaker'] for line in facts.lines})}):",
        grid_markdown(own),
    ]
    if from_stage1:
        lines.append(f"Predicted by the intermediate model: {_listed(from_stage1)}.")
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
    """The table of what :func:`espnet_ser.publish.onnx.measure` found."""
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
    raters = "raters heard actors" if facts.is_iemocap else "its corpus would label a voice"
    limits = [
        f"It was trained on {len(speakers)} speakers in the recordings of one corpus. How it does on other people, languages, "
        "microphones and occasions is not known, and lower scores are to be expected.",
        f"It knows {_listed(facts.labels[MAIN_TASK])}, and puts every recording, silence too, into one of them.",
        f"It predicts how {raters}, not what a person feels. It is no ground for decisions about people.",
        "16 kHz, mono, one utterance at a time; the corpus has utterances of some seconds.",
    ]
    if facts.norm == "group" and facts.exported:
        limits.append(
            "Plain transformers averages this encoder's group norm over padding: there, give it one utterance at a time, or "
            "batches of one length. espnet-ser and the ONNX export do not depend on padding."
        )
    return limits


def _license(facts: CardFacts) -> str:
    nothing_of_it = "No audio, label list or transcript of it is part of this repository."
    if facts.origin == SYNTHETIC:
        return "The speech was made by espeak-ng from texts of the recipe; there are no recordings of people."
    if facts.is_iemocap:
        return (
            "IEMOCAP is given by its authors for research, on request (https://sail.usc.edu/iemocap/), and its licence binds "
            f"those who publish or use what was trained on it. {nothing_of_it}"
        )
    name = text_markdown(facts.corpus.license or NOT_STATED)
    return f"The licence of the corpus ({name}) binds those who publish or use what was trained on it. {nothing_of_it}"


def _citations(facts: CardFacts) -> str:
    wanted = ["paper", *([IEMOCAP] if facts.is_iemocap else [])]
    return "\n\n".join(f"```bibtex\n{_CITATIONS[name]}\n```" for name in wanted)


def _listed(names: Sequence[str] | Mapping[str, object]) -> str:
    return ", ".join(map(text_markdown, names))


def _bullets(lines) -> str:
    return "\n".join(f"- {line}" for line in lines)
