"""Systems with results, as the reports see them."""

import numpy as np

from espnet_ser.evaluation.results import summarise
from espnet_ser.experiment.systems import Finetuning, System
from espnet_ser.report.system import SystemReport
from espnet_ser.report.write import write_system_report

LABELS = ["angry", "happy", "neutral", "sad"]
SLICES = {"style": {"improvised": {"n": 7, "classes": 2, "ua": 61.25, "wa": 58.5}}}
RUN = {
    "command": "./run.sh --system mine",
    "corpus": {"name": "IEMOCAP"},
    "settings": {"encoder": "tiny", "seed": 0},
    "trained_with": {"date": "2026-01-01", "torch": "2.10.0"},
    "scored_with": {"date": "2026-01-02", "torch": "2.11.0"},
}
SYSTEM = System(
    name="mine",
    intermediate=Finetuning(("asr", "gender")),
    ser=Finetuning(("emotion",), trainable_layers=8),
    rows={3: 1},
    paper={"ua": 76.1, "wa": 74.94, "gender_ua": 98.57, "wer": 22.8},
)


def line(number, ref, hyp, gender="f", speaker="Ses01_F"):
    return {
        "utt": f"u{number}",
        "speaker": speaker,
        "emotion": {"ref": ref, "hyp": hyp},
        "gender": {"ref": "f", "hyp": gender},
        "asr": {"ref": "A B", "hyp": "A C"},
        "from_stage1": ["asr", "gender"],
    }


def predictions(selections=("last", "others", "oracle")):
    """Two folds; UA of 'last' 75 and 50, of 'others' 50 and 50, of 'oracle' 100 and 50."""
    sad = {"last": ["angry", "sad"], "others": ["angry", "angry"], "oracle": ["sad", "sad"]}
    two = [line(i, "angry", "sad", "m", "Ses02_F") for i in range(2)]
    two += [line(i, "sad", "sad", speaker="Ses02_F") for i in range(2, 4)]
    one = {
        s: [line(i, "angry", "angry") for i in range(6)] + [line(6 + i, "sad", sad[s][i]) for i in (0, 1)] for s in selections
    }
    return {"1": one, "2": dict.fromkeys(selections, two)}


def history(epochs=2):
    return [
        {"epoch": e, "train": {"loss": 2.0 / e}, "valid": {"loss": 3.0 / e, "ua": 50.0 * e / epochs, "wer": 9.0}}
        for e in range(1, epochs + 1)
    ]


def embeddings(num_utterances=12):
    values = np.random.default_rng(0).normal(size=(num_utterances, 5))
    labels = {"emotion": (LABELS * num_utterances)[:num_utterances], "gender": (["f", "m"] * num_utterances)[:num_utterances]}
    return values, labels


def report(folder, system=SYSTEM, selections=("last", "others", "oracle"), run=RUN, folds=("1", "2"), num_folds=5):
    chosen = {fold: by for fold, by in predictions(selections).items() if fold in folds}
    return SystemReport.of(system, folder, summarise(system.name, chosen, SLICES, num_folds), run)


def write(folder, system=SYSTEM, **options):
    """A system's folder as stage 6 leaves it."""
    made = report(folder, system, **options)
    lines = [line for by in predictions().values() for line in by["last"]]
    write_system_report(made, lines, {"SER": {"1": history(), "2": history()}}, {"1": embeddings(), "2": embeddings(4)})
    return made
