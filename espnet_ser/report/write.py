"""Writes the reports: of a system into its experiment folder, of a table into a folder of its own."""

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from espnet_ser.data.datadir import Example, speaker_files
from espnet_ser.errors import InputError
from espnet_ser.evaluation.results import RESULTS_FILE, RUN_FILE
from espnet_ser.layout import SCORED_FILE
from espnet_ser.report.alike import shared_by_all
from espnet_ser.report.figures import drawn_name, plot_bars, plot_confusion, plot_curves, plot_embeddings, plot_layers
from espnet_ser.report.markdown import results_markdown, table_markdown
from espnet_ser.report.page import system_page, table_page
from espnet_ser.report.system import SystemReport
from espnet_ser.report.wording import FIGURES, TABLE_FIGURES
from espnet_ser.tasks_table import MAIN_TASK
from espnet_ser.utils.environment import describe_environment
from espnet_ser.utils.replacing import REPORT_STAMP, keep_others, temporary_folder, write_output
from espnet_ser.utils.stamp import Stamp


def write_system_report(
    report: SystemReport,
    predictions: Sequence[Mapping],
    histories: Mapping[str, Mapping[str, Sequence[Mapping]]],
    embeddings: Mapping[str, tuple[np.ndarray, Mapping[str, Sequence[str]]]],
) -> list[Path]:
    """Writes ``results.json``, ``run.json``, ``RESULTS.md``, ``report.html`` and ``figures/`` into the system's folder.

    Args:
        report: The system, with its results.
        predictions: Lines of predictions of the headline selection, of all folds.
        histories: Title of a finetuning -> fold -> records of ``history.jsonl``.
        embeddings: Fold -> embeddings and classes, from :func:`labelled_embeddings`.

    What is empty leaves no figure.

    Returns:
        What was written.
    """
    folder, figures = report.folder, report.folder / "figures"
    stamp = Stamp(folder / SCORED_FILE)
    with _drawn_in(figures, FIGURES, stamp) as temporary:
        if predictions:
            plot_confusion(
                [line[MAIN_TASK] for line in predictions],
                temporary / "confusion.png",
                f"{drawn_name(report.name)}\n{len(predictions)} held-out utterances",
            )
        if any(records for folds in histories.values() for records in folds.values()):
            plot_curves(histories, temporary / "curves.png")
        if embeddings:
            plot_embeddings(embeddings, temporary / "embeddings.png")
    contents = {
        RESULTS_FILE: _json(report.results),
        RUN_FILE: _json(report.run),
        "RESULTS.md": results_markdown(report, _present(figures, FIGURES)),
        "report.html": system_page(report),
    }
    for name, content in contents.items():
        write_output(folder / name, content, stamp)
    return [*(folder / name for name in contents), *_files(figures, FIGURES)]


def write_table_report(title: str, reports: Sequence[SystemReport], folder: Path, command: str) -> None:
    """Writes ``results.json``, ``RESULTS.md``, ``report.html`` and ``figures/`` of a table into a folder.

    Args:
        title: The table's heading.
        reports: Its systems, in the paper's order, scored or not.
        folder: Where to.
        command: The command line to record.
    """
    figures, stamp = folder / "figures", Stamp(folder / REPORT_STAMP)
    by_layers = {report.layers: report for report in reports if report.layers is not None}
    with _drawn_in(figures, TABLE_FIGURES, stamp) as temporary:
        if any(report.ua for report in reports):
            paper = {report.name: report.paper["ua"] for report in reports if "ua" in report.paper}
            plot_bars({report.name: report.ua for report in reports}, paper, temporary / "bars.png")
        if sum(report.ua is not None for report in by_layers.values()) > 1:
            paper = {layers: report.paper["ua"] for layers, report in by_layers.items() if "ua" in report.paper}
            plot_layers({layers: report.ua for layers, report in by_layers.items()}, paper, temporary / "layers.png")
    shared = {part: shared_by_all(reports, part) for part in ("settings", "trained_with")}
    run = {"command": command, **shared, "environment": describe_environment()}
    systems = {report.name: {"paper": dict(report.paper), "results": report.results} for report in reports}
    contents = {
        RESULTS_FILE: _json({"title": title, "systems": systems}),
        "RESULTS.md": table_markdown(title, reports, _present(figures, TABLE_FIGURES), run),
        "report.html": table_page(title, reports, figures, run),
    }
    for name, content in contents.items():
        write_output(folder / name, content, stamp)
    stamp.write({}, [*(folder / name for name in contents), *_files(figures, TABLE_FIGURES)])


def labelled_embeddings(path: Path, examples: Sequence[Example]) -> tuple[np.ndarray, dict[str, list[str]]]:
    """The embeddings of a fold's utterances. ``path``: ``embeddings.npz``; ``examples``: the utterances that the fold holds
    out. Returns embeddings float32 [num_utterances, dim], and the utterances' classes by the main task and by those of
    speakers. Raises InputError when the file is damaged, or has an utterance that the fold does not hold out.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            utts, embeddings = file["utts"].tolist(), file["embeddings"]
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise InputError(f"{path}: not embeddings ({error}); remove it and train the fold again") from error
    by_utt = {example.utt: example for example in examples}
    if embeddings.ndim != 2 or len(utts) != len(embeddings) or not by_utt.keys() >= set(utts):
        raise InputError(f"{path}: not the embeddings of this fold's utterances; remove it and train the fold again")
    tasks = [MAIN_TASK, *(spec.name for spec in speaker_files())]
    return embeddings, {task: [by_utt[utt].target(task) for utt in utts] for task in tasks}


@contextmanager
def _drawn_in(figures: Path, names: Iterable[str], stamp: Stamp) -> Iterator[Path]:
    """A folder to draw in; when all is drawn, its figures take the place of those of these names in ``figures``. One that is
    not drawn today is not left from yesterday. When drawing fails (a full disk), yesterday's are as they were.
    """
    figures.mkdir(parents=True, exist_ok=True)
    with temporary_folder(figures / "drawing") as temporary:
        yield temporary
        for drawn in (temporary / f"{name}{suffix}" for name in names for suffix in (".png", ".pdf")):
            keep_others(figures / drawn.name, stamp, drawn)
            if drawn.is_file():
                os.replace(drawn, figures / drawn.name)
            else:
                (figures / drawn.name).unlink(missing_ok=True)


def _present(folder: Path, names: Mapping[str, str]) -> list[str]:
    return [name for name in names if (folder / f"{name}.png").is_file()]


def _files(folder: Path, names: Mapping[str, str]) -> list[Path]:
    return [folder / f"{name}{suffix}" for name in _present(folder, names) for suffix in (".png", ".pdf")]


def _json(content: Mapping) -> str:
    return json.dumps(content, indent=1) + "\n"
