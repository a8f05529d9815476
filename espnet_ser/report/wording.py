"""What the reports say in words: the ways of choosing an epoch, notes, and titles of figures."""

from collections.abc import Iterable, Mapping

from espnet_ser.evaluation.metrics import auxiliary_scores, score_names
from espnet_ser.report.grid import code_markdown
from espnet_ser.tasks_table import MAIN_TASK, of_kind

SELECTION_NOTES = {
    "last": "the last epoch; nothing is chosen",
    "others": "one epoch for each fold: the number at which all other folds' utterances together are predicted best",
    "dev": "the epoch at which the dev part, which is neither trained on nor scored, is predicted best",
    "oracle": "the epoch that is best on the test fold itself: chosen on test data, and no estimate for new speakers; shown "
    "because published figures are often this",
}
"""Every way of choosing the epoch, in the order shown."""

SELECTION_NEEDS = {"others": "needs a further fold, trained for as many epochs"}  # those that may be left out -> why

FIGURES = {
    "confusion": "Confusion matrix",
    "curves": "Training curves",
    "embeddings": "Utterance embeddings of each fold's model",
}
"""Figures of a system: name of the PNG -> title, in the order shown."""

TABLE_FIGURES = {"bars": "UA of each system", "layers": "UA over the number of finetuned layers"}
"""Figures of a table, likewise."""


def table_names(table: str) -> tuple[str, str]:
    """The folder and the title of a table of systems. ``table``: ``1``, ``2``, ``3``, ``all``, or empty for systems of one's
    choice.

    >>> table_names("3"), table_names("")
    (('table3', 'Table 3'), ('systems', 'Systems'))
    """
    return {"": ("systems", "Systems"), "all": ("table_all", "Tables 1 to 3")}.get(table, (f"table{table}", f"Table {table}"))


def folds_text(folds: Iterable[str]) -> str:
    """Names of folds, in order, three numbers or more in a row as a range.

    >>> folds_text(["1", "2", "3", "5"]), folds_text(["1", "2"])
    ('1-3, 5', '1, 2')
    """
    runs: list[list[str]] = []
    for fold in folds:
        follows = runs and fold.isdigit() and runs[-1][-1].isdigit() and int(fold) == int(runs[-1][-1]) + 1
        if follows:
            runs[-1].append(fold)
        else:
            runs.append([fold])
    return ", ".join(f"{run[0]}-{run[-1]}" if len(run) > 2 else ", ".join(run) for run in runs)


def scored_folds(results: Mapping) -> str:
    """Which folds were scored, of how many.

    >>> scored_folds({"folds": {"2": {}}, "num_folds": 5})
    'fold 2 of 5'
    """
    folds = results["folds"]
    return f"fold{'s' if len(folds) > 1 else ''} {folds_text(folds)} of {results['num_folds']}"


def absence_notes(*results: Mapping) -> list[str]:
    """Which folds lack a class, so that their UA is over fewer; nothing where none does. ``results``: contents of
    ``results.json``, of systems over the same folds.
    """
    texts = []
    for task in of_kind("classes"):
        of = "" if task == MAIN_TASK else f"of {task}s "
        folds_by_absent: dict[tuple[str, ...], dict[str, None]] = {}
        for of_system in results:
            for fold, by in of_system["folds"].items():
                if absent := by["absent"].get(task):
                    folds_by_absent.setdefault(tuple(absent), {})[fold] = None
        for absent, folds in folds_by_absent.items():
            which = f"folds {folds_text(folds)} have" if len(folds) > 1 else f"fold {folds_text(folds)} has"
            texts.append(f"{of}{which} no {', no '.join(map(code_markdown, absent))}")
    if not texts:
        return []
    return [
        f"A fold's UA is over the classes that it holds out: {'; '.join(texts)}. A mean over such folds weighs classes "
        f"unequally; the pooled score is over all that any of the folds holds out."
    ]


def notes(selections: Iterable[str], starred: bool, beside_paper: bool, results: Iterable[Mapping]) -> list[str]:
    """What a reader must know of a table of scores, as sentences with code in backticks.

    Args:
        selections: Those that were made, of :data:`SELECTION_NOTES`; of the others it is said why not.
        starred: Whether some scores are of the intermediate model.
        beside_paper: Whether the paper's figures are shown.
        results: Of the systems in the table.
    """
    made = set(selections)
    lines = [f"`{name}`: {note}." for name, note in SELECTION_NOTES.items() if name in made]
    lines += [f"`{name}` is left out: it {needs}." for name, needs in SELECTION_NEEDS.items() if name not in made]
    lines.append(
        "UA: mean recall over classes; WA: accuracy. All scores in percent; the deviation over folds is the sample's, unknown "
        "for a single fold. Pooled: of all folds' utterances together."
    )
    lines += absence_notes(*results)
    *names, last = (score_names()[name] for name in auxiliary_scores())
    shown = f"{', '.join(names)} and {last}"
    lines.append(f"{shown[0].upper()}{shown[1:]} (of words, of characters) are of the headline's predictions.")
    if of_kind("regression"):
        lines.append("CCC: Lin's concordance correlation coefficient, times 100.")
    lines.append(
        "95 % intervals are of the pooled score: over utterances (bootstrap within folds; other utterances of these speakers), "
        "and over speakers (jackknife; other speakers)."
    )
    if starred:
        lines.append("`*` predicted by the intermediate model, as in the paper's Table 3.")
    if beside_paper:
        lines.append(
            "The paper's figures are for all of IEMOCAP (5,531 utterances, four emotions, five sessions): scores of a part of "
            "it cannot be compared with them."
        )
    return lines
