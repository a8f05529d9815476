"""The tables of the reports: a system's folds, classes, speakers and slices, and systems next to the paper's rows."""

from collections.abc import Collection, Mapping, Sequence

from espnet_ser.evaluation.metrics import auxiliary_scores, score_names
from espnet_ser.evaluation.predictions import headline
from espnet_ser.experiment.systems import PAPER_SCORES
from espnet_ser.report.alike import best_row, num_utterances, scored_results
from espnet_ser.report.grid import MISSING, Grid, Strong, interval, number, spread
from espnet_ser.report.system import SystemReport
from espnet_ser.report.wording import SELECTION_NOTES, folds_text

_MAX_CLASSES = 30  # of a confusion matrix in a report; ``results.json`` has it whole, as it has all speakers
_MAX_SPEAKERS = 60


def selections_of(*summaries: Mapping) -> list[str]:
    """The selections that any of these summaries (``results["summary"]``) has, in the order shown."""
    return [name for name in SELECTION_NOTES if any(name in summary for summary in summaries)]


def selections_of_table(reports: Sequence[SystemReport]) -> list[str]:
    """Those that any system has; where none has been scored, those of cross-validation."""
    made = selections_of(*(results["summary"] for results in scored_results(reports)))
    return made or [name for name in SELECTION_NOTES if name != "dev"]


def fold_grid(report: SystemReport) -> Grid:
    """A system's scores: a row per fold, mean and deviation, pooled with intervals, and the paper's figures."""
    results, main = report.results, report.results["headline"]
    summary = results["summary"]
    others = [name for name in auxiliary_scores() if summary.get(name) is not None]
    scores = [(s, m) for s in selections_of(summary) for m in ("ua", "wa")]
    columns = [summary[s][m] for s, m in scores] + [summary[name] for name in others]
    mains = [s == main for s, _ in scores] + [False] * len(others)
    stars = _stars(report.starred)
    header = [_emphasised(f"{score_names()[m]} ({s})", s == main) for s, m in scores]
    header += [score_names()[name] + stars[name] for name in others]
    rows = []
    for fold, by in results["folds"].items():
        cells = [by[s][m] for s, m in scores] + [by[name] for name in others]
        rows.append((fold, *map(number, cells), str(by["n"])))
    means = [_emphasised(spread(column), bold) for column, bold in zip(columns, mains, strict=True)]
    rows.append((Strong("mean ± deviation"), *means, ""))
    rows.append(("pooled", *(number(c["pooled"]) for c in columns), str(num_utterances(results))))
    for key, of in (("ci95", "utterances"), ("ci95_speakers", "speakers")):
        if any(column.get(key) for column in columns):
            rows.append((f"95 % interval of pooled ({of})", *(interval(c.get(key)) for c in columns), ""))
    if report.paper:
        figures = [report.paper.get(m) for _, m in scores] + [report.paper.get(name) for name in others]
        rows.append(("paper (IEMOCAP)", *map(number, figures), "5531"))
    return Grid(f"Scores of each held-out fold; the headline is {main}", ("held-out fold", *header, "utterances"), tuple(rows))


def detail_grids(results: Mapping) -> list[Grid]:
    """Of the headline's predictions, all folds together: each class, what is taken for what, each speaker, and slices."""
    summary, of = results["summary"][results["headline"]], f"({results['headline']}, all folds together)"
    names = ("recall", "precision", "f1")
    classes = [(name, str(by["support"]), *(number(by[key]) for key in names)) for name, by in summary["per_class"].items()]
    classes.append((Strong("macro-F1"), "", "", "", Strong(number(summary["macro_f1"]))))
    caption = f"Each class {of}; UA is the mean of the recalls of those that occur"
    grids = [Grid(caption, ("class", "utterances", "recall", "precision", "F1"), tuple(classes))]
    labels, counts = summary["confusion"]["labels"], summary["confusion"]["counts"]
    if len(labels) <= _MAX_CLASSES:
        rows = tuple((label, *map(str, row)) for label, row in zip(labels, counts, strict=True))
        caption = f"Confusion matrix {of}: a row for each class as labelled, a column for each as predicted"
        grids.append(Grid(caption, ("labelled", *labels), rows))
    speakers = summary["speakers"]
    lowest = sorted(speakers, key=lambda name: (speakers[name]["ua"], name))[:_MAX_SPEAKERS]
    rows = tuple(
        (name, by["fold"], str(by["n"]), str(by["classes"]), number(by["ua"]), number(by["wa"]))
        for name, by in speakers.items()
        if name in lowest
    )
    which = "Each speaker" if len(rows) == len(speakers) else f"The {len(rows)} of {len(speakers)} speakers with the lowest UA"
    caption = f"{which} {of}; classes: how many a speaker has, which UA is over"
    grids.append(Grid(caption, ("speaker", "fold", "utterances", "classes", "UA", "WA"), rows))
    return grids + [slices for slices in [slice_grid(results)] if slices]


def slice_grid(results: Mapping) -> Grid | None:
    """The headline's scores on parts of the utterances; None where they were not taken apart."""
    rows = [
        (f"{kind}: {part}", str(by["n"]), number(by["ua"]), number(by["wa"]), str(by["classes"]))
        for kind, parts in (results.get("slices") or {}).items()
        for part, by in parts.items()
    ]
    caption = f"Parts of the held-out utterances ({results['headline']}); classes: how many emotions occur in the part"
    return Grid(caption, ("part", "utterances", "UA", "WA", "classes"), tuple(rows)) if rows else None


def system_grid(reports: Sequence[SystemReport]) -> Grid:
    """Systems next to the paper's rows, in the order given; one that has not been scored keeps its row."""
    selections = selections_of_table(reports)
    # The mean over folds of each selection, and besides the headline's the pooled score.
    shown = [(s, key) for s in selections for key in (_KEYS if s == headline(selections) else ("mean",))]
    scores = [(s, m, key) for m in ("ua", "wa") for s, key in shown]
    header = ["system", "folds", "n", *(f"{_KEYS[key]}{score_names()[m]} ({s})" for s, m, key in scores)]
    of_paper = {task for name, task in auxiliary_scores().items() if name in PAPER_SCORES}
    summaries = [results["summary"] for results in scored_results(reports)]
    others = [
        name
        for name, task in auxiliary_scores().items()
        if task in of_paper or any(summary.get(name) is not None for summary in summaries)
    ]
    header += [score_names()[name] for name in others]
    num_ours = 2 + len(scores) + len(others)
    groups = ()
    if beside_paper := any(report.paper for report in reports):
        header += [score_names()[name] for name in (*PAPER_SCORES, "ua", "wa")]
        groups = (("", 1), ("ours", num_ours), ("paper", len(PAPER_SCORES)), ("difference", 2))
    best = best_row(reports)
    rows = []
    for index, report in enumerate(reports):
        star = _stars(report.from_stage1)
        paper = [_starred(report.paper.get(name), star.get(name, "")) for name in PAPER_SCORES]
        if report.results is None:
            rows.append((f"{report.name} (not finished)", *[MISSING] * num_ours, *paper, *[MISSING] * 2)[: len(header)])
            continue
        summary, main = report.results["summary"], report.results["headline"]
        star = _stars(report.starred)
        ours = [folds_text(report.results["folds"]), str(num_utterances(report.results))]
        ours += [
            _emphasised(number(summary[s][m][key]) if s in summary else MISSING, s == main and key == "mean")
            for s, m, key in scores
        ]
        ours += [_starred((summary.get(name) or {}).get("mean"), star[name]) for name in others]
        differences = [_difference(summary[main][m]["mean"], report.paper.get(m)) for m in ("ua", "wa")]
        name = report.name + ("†" if report.is_constant_below else "")
        rows.append((_emphasised(name, index == best), *ours, *paper, *differences)[: len(header)])
    caption = "Means over held-out folds; bold: the headline"
    if beside_paper:
        caption = f"Each system next to the paper's row: {caption[0].lower()}{caption[1:]}, which differences are of"
    caption += ", and the best system's name" if best is not None else ""
    return Grid(caption, tuple(header), tuple(rows), groups, best)


_KEYS = {"mean": "", "pooled": "pooled "}


def _stars(tasks: Collection[str]) -> dict[str, str]:
    """Score -> ``*`` where its task is among those predicted by the intermediate model."""
    return {name: "*" if task in tasks else "" for name, task in auxiliary_scores().items()}


def _emphasised(text: str, strong: bool) -> str:
    return Strong(text) if strong else text


def _starred(value: float | None, star: str) -> str:
    return number(value) + (star if value is not None else "")


def _difference(ours: float, paper: float | None) -> str:
    return MISSING if paper is None else f"{round(ours - paper, 2) + 0.0:+.2f}"  # + 0.0: no '-0.00'
