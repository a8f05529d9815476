"""Runs of one system that differ in nothing but the seed, next to each other."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from espnet_ser.errors import InputError
from espnet_ser.evaluation.metrics import auxiliary_scores, score_names
from espnet_ser.experiment.trained_fold import describe_run
from espnet_ser.report.grid import Grid, Strong, grid_markdown, number, text_markdown
from espnet_ser.report.markdown import environments_markdown
from espnet_ser.report.tables import selections_of
from espnet_ser.report.wording import absence_notes


def common_settings(folders: Mapping[str, Path], folds: Iterable[str]) -> dict[str, object]:
    """What every fold of every run was trained with, the seed left out. ``folders``: seed -> where its run lies; ``folds``:
    names of the folds. Raises InputError when a fold was trained with another seed than its run's, or differs in more than the
    seed.
    """
    paths = {folder / f"fold{fold}": seed for seed, folder in folders.items() for fold in folds}
    settings = {path: describe_run(path) for path in paths}
    first, common = next(iter(settings.items()))
    for path, own in settings.items():
        if own.get("seed") != int(paths[path]):
            raise InputError(f"{path} was trained with seed {own.get('seed')}, not {paths[path]}: run it with that --seed")
        differing = sorted(key for key in {*own, *common} - {"seed"} if own.get(key) != common.get(key))
        if differing:
            raise InputError(f"{path} differs from {first} in {', '.join(differing)}, not in the seed alone; run both alike")
    return {key: value for key, value in common.items() if key != "seed"}


def seeds_markdown(results: Mapping, paper: Mapping[str, float], run: Mapping) -> str:
    """RESULTS.md over seeds. ``results``: from :func:`espnet_ser.evaluation.results.summarise_seeds`; ``paper``: the paper's
    figures for this system, on IEMOCAP; ``run``: ``command``, ``settings`` and ``environment``.
    """
    summary = results["summary"]
    others = [name for name in auxiliary_scores() if summary.get(name) is not None]
    pooled = {"ua": "UA", "ua_pooled": "pooled UA", "wa": "WA", "wa_pooled": "pooled WA"}
    scores = [(s, m) for s in selections_of(summary) for m in pooled if s == results["headline"] or m in score_names()]
    header = ("seed", *(f"{pooled[m]} ({s})" for s, m in scores), *(score_names()[name] for name in others))
    rows = [
        (seed, *(number(by[s][m]) for s, m in scores), *(number(by[name]) for name in others))
        for seed, by in results["seeds"].items()
    ]
    columns = [summary[s][m] for s, m in scores] + [summary[name] for name in others]
    rows.append((Strong("mean ± deviation"), *(Strong(f"{number(c['mean'])} ± {number(c['std'])}") for c in columns)))
    if paper:
        figures = [paper.get(m) for _, m in scores] + [paper.get(name) for name in others]
        rows.append(("paper (IEMOCAP)", *map(number, figures)))
    caption = "Each run's mean over folds (pooled: of all folds' utterances together); then mean and deviation over runs"
    grid = Grid(caption, header, tuple(rows))
    sections = [
        f"# {text_markdown(results['system'])}, {len(results['seeds'])} seeds",
        f"{grid.caption}. The headline is `{results['headline']}`.",
        grid_markdown(grid),
        *(f"- {note}" for note in absence_notes(results)),
        environments_markdown(run),
    ]
    return "\n\n".join(sections) + "\n"
