"""From every fold's predictions to ``results.json``: per fold, mean and deviation over folds, pooled, with intervals."""

import json
from collections.abc import Iterable, Mapping, Sequence
from math import isfinite
from pathlib import Path

from espnet_ser.errors import InputError
from espnet_ser.evaluation.breakdown import absent_classes, break_down, classes_of
from espnet_ser.evaluation.intervals import intervals, mean_and_std
from espnet_ser.evaluation.metrics import accuracies, auxiliary_scores, refs_and_hyps, score
from espnet_ser.evaluation.predictions import SELECTIONS, headline

RESULTS_FILE = "results.json"
RUN_FILE = "run.json"


def summarise(
    system: str,
    predictions: Mapping[str, Mapping[str, Sequence[Mapping]]],
    slices: Mapping[str, Mapping] | None = None,
    num_folds: int | None = None,
) -> dict:
    """The content of ``results.json``; all scores in percent, rounded to 0.01.

    Args:
        system: Its name.
        predictions: Fold -> selection (of :data:`espnet_ser.evaluation.predictions.SELECTIONS`) -> lines of predictions. A
            selection that a fold lacks is left out.
        slices: From :func:`espnet_ser.evaluation.slices.slices_of`, of the headline's predictions.
        num_folds: How many folds the recipe has, these among them; None for no others.

    Returns:
        ``{"system", "headline", "num_folds", "folds": {fold: {selection: {"ua", "wa"}, "gender_ua", "style_ua", "wer", "cer",
        "n", "absent"}}, "summary": {selection: {"ua": {"mean", "std", "pooled", "ci95", "ci95_speakers"}, "wa": {...},
        "macro_f1", "per_class", "confusion", "speakers"}, "gender_ua": {"mean", "std", "pooled"}, ...}, "slices",
        "from_stage1"}``.

        A score that no model gives is None, and so is the deviation of a single fold. UA is over the classes that the
        references have: where a fold lacks one (``absent``), so does its UA. ``pooled`` is of all folds' utterances together,
        the intervals are of that, and so is all that :func:`espnet_ser.evaluation.breakdown.break_down` gives. What is not
        emotion is scored on the headline's predictions.
    """
    selections = common_selections(predictions)
    main = headline(selections)
    classes = classes_of(line for fold in predictions.values() for s in selections for line in fold[s])
    absent = absent_classes({fold: by[main] for fold, by in predictions.items()}, classes)
    score_of = dict.fromkeys(selections, accuracies) | {main: score}
    scores = {fold: {s: score_of[s](lines[s]) for s in selections} for fold, lines in predictions.items()}
    folds = {
        fold: {
            **{s: {"ua": _rounded(by[s]["ua"]), "wa": _rounded(by[s]["wa"])} for s in selections},
            **{name: _rounded(by[main][name]) for name in auxiliary_scores()},
            "n": by[main]["n"],
            "absent": absent[fold],
        }
        for fold, by in scores.items()
    }
    summary: dict = {}
    for selection in selections:
        lines_by_fold = {fold: predictions[fold][selection] for fold in predictions}
        pooled = score_of[selection]([line for lines in lines_by_fold.values() for line in lines])
        refs, hyps = zip(*map(refs_and_hyps, lines_by_fold.values()), strict=True)
        trust = intervals(refs, hyps, [[line["speaker"] for line in lines] for lines in lines_by_fold.values()])
        summary[selection] = _rounded(
            {
                **{
                    name: {
                        **mean_and_std([scores[fold][selection][name] for fold in scores]),
                        "pooled": pooled[name],
                        **trust[name],
                    }
                    for name in ("ua", "wa")
                },
                **break_down(lines_by_fold, classes),
            }
        )
        if selection == main:
            for name in auxiliary_scores():
                values = [scores[fold][main][name] for fold in scores if scores[fold][main][name] is not None]
                summary[name] = _rounded({**mean_and_std(values), "pooled": pooled[name]}) if values else None
    return {
        "system": system,
        "headline": main,
        "num_folds": num_folds or len(folds),
        "folds": folds,
        "summary": summary,
        "slices": _rounded(slices or {}),
        "from_stage1": _from_intermediate(predictions),
    }


def read_results(folder: Path, system: str | None = None) -> dict:
    """The scores of a system. ``folder``: the system's; ``system``: whose scores these must be; None for any. Returns what
    :func:`espnet_ser.evaluation.results.summarise` returned. Raises InputError when the file is missing, damaged, or of another
    system.
    """
    path = folder / RESULTS_FILE
    if not path.is_file():
        raise InputError(f"{path} is missing: run stage 6, which makes it")
    results = _read_object(path)
    try:
        _check_results(results)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        reason = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
        raise InputError(f"{path}: not the results of a system ({reason}); run stage 6 again, which makes it anew") from error
    if system is not None and results["system"] != system:
        raise InputError(f"{path} is of system {results['system']}, not of {system}; give another --expdir or --tag")
    return results


def read_run(folder: Path) -> dict:
    """With what, from what and where a system was trained and scored. Returns the content of ``run.json``: ``command``,
    ``settings`` (these two empty where it does not give them), ``trained_with``, ``scored_with``, ``scored_on``, ``trace``,
    ``trained_by``. Empty where there is no file. Raises InputError when the file is damaged.
    """
    path = folder / RUN_FILE
    if not path.is_file():
        return {}
    run = {"command": "", "settings": {}, **_read_object(path)}
    for key, value in run.items():
        if not isinstance(value, str if key == "command" else dict):
            raise InputError(f"{path}: {key} is {value!r}; run stage 6 again, which makes it anew")
    return run


def common_selections(predictions: Mapping[str, Mapping]) -> list[str]:
    """The selections that every fold has."""
    return [selection for selection in SELECTIONS if all(selection in fold for fold in predictions.values())]


def summarise_seeds(results_by_seed: Mapping[str, Mapping]) -> dict:
    """Scores over runs of one system that differ in nothing but the seed.

    ``results_by_seed``: seed -> content of its ``results.json``. Returns ``{"system", "headline", "folds": {fold: {"absent"}},
    "seeds": {seed: {selection: {"ua", "ua_pooled", "wa", "wa_pooled"}, "gender_ua", "style_ua", "wer", "cer"}}, "summary":
    {selection: {"ua": {"mean", "std"}, ...}, "gender_ua": {...} | None, ...}}``: of each run its mean over folds and its pooled
    score, then mean and deviation (n - 1) over runs.
    """
    runs = list(results_by_seed.values())
    selections = [s for s in SELECTIONS if all(s in run["summary"] for run in runs)]
    seeds = {
        seed: {
            **{
                s: {
                    f"{name}{suffix}": run["summary"][s][name][key]
                    for name in ("ua", "wa")
                    for suffix, key in (("", "mean"), ("_pooled", "pooled"))
                }
                for s in selections
            },
            **{name: run["summary"][name]["mean"] if run["summary"][name] else None for name in auxiliary_scores()},
        }
        for seed, run in results_by_seed.items()
    }
    summary: dict = {
        s: {name: _rounded(mean_and_std([by[s][name] for by in seeds.values()])) for name in next(iter(seeds.values()))[s]}
        for s in selections
    }
    for name in auxiliary_scores():
        values = [by[name] for by in seeds.values() if by[name] is not None]
        summary[name] = _rounded(mean_and_std(values)) if values else None
    folds = {fold: {"absent": by["absent"]} for fold, by in runs[0]["folds"].items()}
    main = headline(selections)
    return {"system": runs[0]["system"], "headline": main, "folds": folds, "seeds": seeds, "summary": summary}


def _from_intermediate(predictions: Mapping) -> list[str]:
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


def _read_object(path: Path) -> dict:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(content, dict):
            return content
        reason = "not a JSON object"
    except (ValueError, RecursionError) as error:
        reason = f"not JSON ({error})"
    raise InputError(f"{path}: {reason}; run stage 6 again, which makes it anew")


def _check_results(results: Mapping) -> None:
    """Looks at all that reports read; whatever is not as it should be raises some error."""
    folds, summary = results["folds"], results["summary"]
    selections = [selection for selection in SELECTIONS if selection in summary]
    if not isinstance(results["system"], str) or not folds:
        raise ValueError("no system, or no fold")
    if results["headline"] not in selections:
        raise ValueError("no scores of the headline")
    if type(results["num_folds"]) is not int:
        raise ValueError(f"{results['num_folds']!r} folds")
    for by in folds.values():
        _require_numbers([by["n"], *(by[s][name] for s in selections for name in ("ua", "wa"))])
        _require_numbers(value for name in auxiliary_scores() if (value := by[name]) is not None)
        _require_names(name for names in by["absent"].values() for name in names)
    scores = [summary[s][name] for s in selections for name in ("ua", "wa")]
    for score in [*scores, *(score for name in auxiliary_scores() if (score := summary[name]) is not None)]:
        ends = [score.get(key) or [] for key in ("ci95", "ci95_speakers")]
        _require_numbers([score["mean"], score["pooled"], *ends[0], *ends[1]])
        _require_numbers([] if score["std"] is None else [score["std"]])
        if any(len(interval) not in (0, 2) for interval in ends):
            raise ValueError("an interval has two ends")
    _check_breakdown(summary[results["headline"]])
    for parts in results["slices"].values():
        for part in parts.values():
            _require_numbers(part[name] for name in ("n", "classes", "ua", "wa"))


def _check_breakdown(summary: Mapping) -> None:
    _require_numbers([summary["macro_f1"]])
    for scores in summary["per_class"].values():
        _require_numbers(value for key in ("recall", "precision", "f1", "support") if (value := scores[key]) is not None)
    labels, counts = summary["confusion"]["labels"], summary["confusion"]["counts"]
    _require_names(labels)
    _require_numbers(value for row in counts for value in row)
    if {len(labels)} != {len(counts), *map(len, counts)}:
        raise ValueError("a confusion matrix has a row and a column for each class")
    for scores in summary["speakers"].values():
        _require_numbers(scores[key] for key in ("n", "classes", "ua", "wa"))
        _require_names([scores["fold"]])


def _require_names(values: Iterable) -> None:
    for value in values:
        if not isinstance(value, str):
            raise ValueError(f"{value!r} is no name")


def _require_numbers(values: Iterable) -> None:
    for value in values:
        if not isinstance(value, int | float) or not isfinite(value):
            raise ValueError(f"{value!r} is no score")
