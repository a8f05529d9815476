"""Runs of one system that differ in nothing but the seed, beside each other."""

from collections.abc import Mapping

from espnet_ser.report.grid import MISSING, Grid, Strong, grid_markdown, number, text_markdown
from espnet_ser.report.markdown import environments_markdown
from espnet_ser.report.wording import SELECTION_NOTES

_OTHER_SCORES = {"gender_ua": "gender UA", "style_ua": "style UA", "wer": "WER"}


def seeds_markdown(results: Mapping, paper: Mapping[str, float], run: Mapping) -> str:
    """RESULTS.md over seeds.

    Args:
        results: From :func:`espnet_ser.results.summarise_seeds`.
        paper: The paper's figures for this system, on IEMOCAP.
        run: ``command``, ``settings`` and ``environment``.
    """
    summary = results["summary"]
    selections = [s for s in SELECTION_NOTES if s in summary]
    others = [name for name in _OTHER_SCORES if summary[name] is not None]
    scores = [(s, m) for s in selections for m in ("ua", "wa")]
    header = ("seed", *(f"{m.upper()} ({s})" for s, m in scores), *(_OTHER_SCORES[name] for name in others))
    rows = [
        (seed, *(number(by[s][m]) for s, m in scores), *(number(by[name]) for name in others))
        for seed, by in results["seeds"].items()
    ]
    columns = [summary[s][m] for s, m in scores] + [summary[name] for name in others]
    rows.append((Strong("mean ± deviation"), *(Strong(f"{number(c['mean'])} ± {number(c['std'])}") for c in columns)))
    if paper:
        figures = [paper.get(m) for _, m in scores] + [paper.get(name) for name in others]
        rows.append(("paper (IEMOCAP)", *(MISSING if figure is None else number(figure) for figure in figures)))
    grid = Grid("Each run's mean over folds; then mean and deviation (n - 1) over runs", header, tuple(rows))
    sections = [
        f"# {text_markdown(results['system'])}, {len(results['seeds'])} seeds",
        f"{grid.caption}. The headline is `{results['headline']}`.",
        grid_markdown(grid),
        environments_markdown(run),
    ]
    return "\n\n".join(sections) + "\n"
