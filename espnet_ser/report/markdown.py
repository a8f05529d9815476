"""RESULTS.md, of a system and of a table."""

from collections.abc import Iterable, Mapping, Sequence

from espnet_ser.evaluation.metrics import METRIC_NAMES
from espnet_ser.report.alike import likeness_notes, scored_results, training_notes
from espnet_ser.report.grid import code_markdown, grid_markdown, score_text, text_markdown
from espnet_ser.report.system import SystemReport, run_facts
from espnet_ser.report.tables import detail_grids, fold_grid, selections_of, selections_of_table, system_grid
from espnet_ser.report.wording import FIGURES, TABLE_FIGURES, notes, scored_folds


def results_markdown(report: SystemReport, figures: Iterable[str]) -> str:
    """RESULTS.md of one system. ``report``: the system, which has been scored; ``figures``: those of
    :data:`~espnet_ser.report.wording.FIGURES` that lie in ``figures/``. Returns Markdown: the headline, the table of folds with
    the summary, tables of classes, speakers and slices, and an environments block.
    """
    results = report.results
    main = results["headline"]
    scores = (score_text(METRIC_NAMES[name], results["summary"][main][name], "**") for name in ("ua", "wa"))
    sections = [
        f"# {text_markdown(report.name)}",
        f"Headline (`{main}`), {text_markdown(scored_folds(results))}: {'. '.join(scores)}.",
        grid_markdown(fold_grid(report)),
        _bullets(
            [
                *notes(selections_of(results["summary"]), bool(report.starred), bool(report.paper), [results]),
                *training_notes([report]),
            ]
        ),
    ]
    sections += [f"{text_markdown(grid.caption)}.\n\n{grid_markdown(grid)}" for grid in detail_grids(results)]
    sections += _images(FIGURES, figures)
    sections.append(environments_markdown(report.run))
    return "\n\n".join(sections) + "\n"


def table_markdown(title: str, reports: Sequence[SystemReport], figures: Iterable[str], run: Mapping) -> str:
    """RESULTS.md of a table. ``reports``: the systems, in the paper's order; ``figures``: those of
    :data:`~espnet_ser.report.wording.TABLE_FIGURES` that lie in ``figures/``; ``run``: ``command``, ``settings`` and
    ``trained_with`` (what all systems share of them), and ``environment``. Returns Markdown: each row next to the paper's,
    notes, figures, and an environments block.
    """
    grid = system_grid(reports)
    starred, has_paper = any(report.from_stage1 for report in reports), any(report.paper for report in reports)
    sections = [
        f"# {text_markdown(title)}",
        f"{text_markdown(grid.caption)}.",
        grid_markdown(grid),
        _bullets([*likeness_notes(reports), *notes(selections_of_table(reports), starred, has_paper, scored_results(reports))]),
    ]
    sections += _images(TABLE_FIGURES, figures)
    sections.append(environments_markdown(run))
    return "\n\n".join(sections) + "\n"


def environments_markdown(run: Mapping) -> str:
    """The last section of every RESULTS.md: with what command, settings and versions the numbers were made (``run.json``)."""
    return "## Environments\n\n" + _bullets(
        f"{text_markdown(name)}: {code_markdown(str(value))}" for name, value in run_facts(run).items()
    )


def _bullets(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _images(titles: Mapping[str, str], present: Iterable[str]) -> list[str]:
    present = set(present)
    return [f"![{title}](figures/{name}.png)" for name, title in titles.items() if name in present]
