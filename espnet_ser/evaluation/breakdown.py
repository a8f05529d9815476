"""What a mean over classes and folds hides: each class, each speaker, what is taken for what, and what a fold does not hold."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from espnet_ser.evaluation.metrics import class_scores, confusion_matrix, macro_f1, part_scores, refs_and_hyps
from espnet_ser.tasks_table import MAIN_TASK, of_kind

Lines = Sequence[Mapping]  # predictions (lines of ``predictions_*.jsonl``)


def classes_of(lines: Iterable[Mapping]) -> list[str]:
    """The classes that occur, are predicted, or might have been: those that the models give a posterior."""
    names: set[str] = set()
    for line in lines:
        predicted = line[MAIN_TASK]
        names |= {predicted["ref"], predicted["hyp"], *(predicted.get("scores") or ())}
    return sorted(names)


def break_down(lines_by_fold: Mapping[str, Lines], classes: Sequence[str]) -> dict:
    """Scores of classes and speakers, of all folds together. ``lines_by_fold``: fold -> its predictions; ``classes``: those to
    show. Returns ``{"macro_f1", "per_class": {class: {"recall", "precision", "f1", "support"}}, "confusion": {"labels",
    "counts"}, "speakers": {speaker: {"fold", "n", "classes", "ua", "wa"}}}``. ``counts`` has a row for each reference; a
    speaker's UA is over the ``classes`` (how many) that the speaker has, of a single one its recall.
    """
    lines = [line for of_fold in lines_by_fold.values() for line in of_fold]
    counts = confusion_matrix(*refs_and_hyps(lines), classes)
    by_class = class_scores(counts, classes)
    by_speaker: dict[str, list[Mapping]] = defaultdict(list)
    fold_of: dict[str, str] = {}
    for fold, of_fold in lines_by_fold.items():
        for line in of_fold:
            by_speaker[line["speaker"]].append(line)
            fold_of[line["speaker"]] = fold  # all of a speaker's utterances are held out together
    return {
        "macro_f1": macro_f1(by_class),
        "per_class": by_class,
        "confusion": {"labels": list(classes), "counts": counts.tolist()},
        "speakers": {name: {"fold": fold_of[name], **part_scores(by_speaker[name])} for name in sorted(by_speaker)},
    }


def absent_classes(lines_by_fold: Mapping[str, Lines], classes: Sequence[str]) -> dict[str, dict[str, list[str]]]:
    """What folds do not hold, and their UA is not over. ``lines_by_fold``: fold -> its predictions; ``classes``: emotions that
    there are. Returns fold -> task (``emotion``, ``gender``, ...) -> classes that no utterance of the fold has, of those that
    other folds have or, of emotions, that models know. Tasks that lack none, or have no output, are left out.
    """
    held = {
        task: {fold: set(refs_and_hyps(lines, task)[0]) for fold, lines in lines_by_fold.items()} for task in of_kind("classes")
    }
    known = {task: set().union(*by.values()) for task, by in held.items()} | {MAIN_TASK: set(classes)}
    return {
        fold: {task: sorted(known[task] - by[fold]) for task, by in held.items() if known[task] - by[fold]}
        for fold in lines_by_fold
    }
