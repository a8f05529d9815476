"""From every fold's predictions to ``results.json``: per fold, mean and deviation over folds, pooled, with intervals."""

from collections.abc import Mapping, Sequence

from espnet_ser.predictions import SELECTIONS
from espnet_ser.scoring import bootstrap_interval, mean_and_std, score

OTHER_SCORES = ("gender_ua", "style_ua", "wer")


def summarise(system: str, predictions: Mapping[str, Mapping[str, Sequence[Mapping]]]) -> dict:
    """The content of ``results.json``; all scores in percent, rounded to 0.01.

    Args:
        system: Its name.
        predictions: Fold -> selection (``last``, ``cross``, ``oracle``; the same in all folds) -> lines of predictions.

    Returns:
        ``{"system", "folds": {fold: {selection: {"ua", "wa"}, "gender_ua", "style_ua", "wer", "n"}}, "summary": {selection:
        {"ua": {"mean", "std", "pooled", "ci95"}, "wa": {...}}, "gender_ua": {"mean", "std", "pooled"}, ...}, "from_stage1"}``.
        A score that no model gives is None. ``ci95`` is of the pooled score.
    """
    selections = [selection for selection in SELECTIONS if all(selection in fold for fold in predictions.values())]
    main = selections[0]
    scores = {fold: {s: score(lines[s]) for s in selections} for fold, lines in predictions.items()}
    folds = {
        fold: {
            **{s: {"ua": _rounded(by[s]["ua"]), "wa": _rounded(by[s]["wa"])} for s in selections},
            **{name: _rounded(by[main][name]) for name in OTHER_SCORES},
            "n": by[main]["n"],
        }
        for fold, by in scores.items()
    }
    summary: dict = {}
    for selection in selections:
        lines_by_fold = [predictions[fold][selection] for fold in predictions]
        pooled = score([line for lines in lines_by_fold for line in lines])
        intervals = bootstrap_interval(
            [[line["ref"] for line in lines] for lines in lines_by_fold],
            [[line["hyp"] for line in lines] for lines in lines_by_fold],
        )
        summary[selection] = {
            name: _rounded(
                {
                    **mean_and_std([scores[fold][selection][name] for fold in scores]),
                    "pooled": pooled[name],
                    "ci95": list(intervals[name]),
                }
            )
            for name in ("ua", "wa")
        }
        if selection == main:
            for name in OTHER_SCORES:
                values = [scores[fold][main][name] for fold in scores if scores[fold][main][name] is not None]
                summary[name] = _rounded({**mean_and_std(values), "pooled": pooled[name]}) if values else None
    return {"system": system, "folds": folds, "summary": summary, "from_stage1": _from_stage1(predictions)}


def _from_stage1(predictions: Mapping) -> list[str]:
    first = next(iter(next(iter(predictions.values())).values()))[0]
    return first.get("from_stage1", [])


def _rounded(value: object) -> object:
    if isinstance(value, float):
        return round(value, 2)
    if isinstance(value, Mapping):
        return {key: _rounded(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_rounded(inner) for inner in value]
    return value
