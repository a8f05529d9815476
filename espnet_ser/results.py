"""From every fold's predictions to ``results.json``: per fold, mean and deviation over folds, pooled, with intervals."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from espnet_ser.errors import InputError
from espnet_ser.predictions import HEADLINE, SELECTIONS
from espnet_ser.scoring import bootstrap_interval, mean_and_std, score

OTHER_SCORES = ("gender_ua", "style_ua", "wer")


def summarise(
    system: str, predictions: Mapping[str, Mapping[str, Sequence[Mapping]]], slices: Mapping[str, Mapping] | None = None
) -> dict:
    """The content of ``results.json``; all scores in percent, rounded to 0.01.

    Args:
        system: Its name.
        predictions: Fold -> selection (``last``, ``cross``, ``oracle``) -> lines of predictions. A selection that a fold lacks
            is left out.
        slices: From :func:`espnet_ser.slices.slices_of`, of the headline's predictions.

    Returns:
        ``{"system", "headline", "folds": {fold: {selection: {"ua", "wa"}, "gender_ua", "style_ua", "wer", "n"}}, "summary":
        {selection: {"ua": {"mean", "std", "pooled", "ci95"}, "wa": {...}}, "gender_ua": {"mean", "std", "pooled"}, ...},
        "slices", "from_stage1"}``. A score that no model gives is None. ``ci95`` is of the pooled score. What is not emotion is
        scored on the headline's predictions.
    """
    selections = common_selections(predictions)
    main = headline_of(predictions)
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
    return {
        "system": system,
        "headline": main,
        "folds": folds,
        "summary": summary,
        "slices": _rounded(slices or {}),
        "from_stage1": _from_stage1(predictions),
    }


def read_results(folder: Path) -> dict:
    """The ``results.json`` that stage 6 left in a system's folder.

    Raises:
        InputError: When it is missing or damaged.
    """
    path = folder / "results.json"
    if not path.is_file():
        raise InputError(f"{path} is missing: run stage 6, which makes it")
    try:
        results = json.loads(path.read_text(encoding="utf-8"))
        return {**results, "summary": dict(results["summary"]), "folds": dict(results["folds"])}
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: damaged; remove it and run stage 6 again") from error


def common_selections(predictions: Mapping[str, Mapping]) -> list[str]:
    """The selections that every fold has."""
    return [selection for selection in SELECTIONS if all(selection in fold for fold in predictions.values())]


def headline_of(predictions: Mapping[str, Mapping]) -> str:
    """The selection whose scores are put first: ``cross``, or ``last`` where a fold lacks it."""
    return HEADLINE if HEADLINE in common_selections(predictions) else SELECTIONS[0]


def summarise_seeds(results_by_seed: Mapping[str, Mapping]) -> dict:
    """Scores over runs of one system that differ in nothing but the seed.

    Args:
        results_by_seed: Seed -> content of its ``results.json``.

    Returns:
        ``{"system", "headline", "seeds": {seed: {selection: {"ua", "wa"}, "gender_ua", "style_ua", "wer"}}, "summary":
        {selection: {"ua": {"mean", "std"}, "wa": {...}}, "gender_ua": {...} | None, ...}}``: of each run its mean over folds,
        then mean and deviation (n - 1) over runs.
    """
    runs = list(results_by_seed.values())
    selections = [s for s in SELECTIONS if all(s in run["summary"] for run in runs)]
    seeds = {
        seed: {
            **{s: {name: run["summary"][s][name]["mean"] for name in ("ua", "wa")} for s in selections},
            **{name: run["summary"][name]["mean"] if run["summary"][name] else None for name in OTHER_SCORES},
        }
        for seed, run in results_by_seed.items()
    }
    summary: dict = {
        s: {name: _rounded(mean_and_std([by[s][name] for by in seeds.values()])) for name in ("ua", "wa")} for s in selections
    }
    for name in OTHER_SCORES:
        values = [by[name] for by in seeds.values() if by[name] is not None]
        summary[name] = _rounded(mean_and_std(values)) if values else None
    headline = HEADLINE if HEADLINE in selections else SELECTIONS[0]
    return {"system": runs[0]["system"], "headline": headline, "seeds": seeds, "summary": summary}


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
