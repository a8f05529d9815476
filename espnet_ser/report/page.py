"""report.html: one page that opens from disk, its figures inside it, without script, font or network.

Names, commands and texts come from files and command lines: all pass through :func:`espnet_ser.characters.escape`.
"""

import base64
import re
from collections.abc import Iterable, Mapping, Sequence
from math import ceil, floor
from pathlib import Path

from espnet_ser.characters import escape
from espnet_ser.report.alike import likeness_notes, num_utterances, scored_results, training_notes
from espnet_ser.report.grid import Grid, Strong, number, score_text
from espnet_ser.report.page_style import STYLE
from espnet_ser.report.system import SystemReport, run_facts
from espnet_ser.report.tables import detail_grids, fold_grid, selections_of, selections_of_table, system_grid
from espnet_ser.report.wording import FIGURES, TABLE_FIGURES, notes, scored_folds

_HEADER = ("command", "encoder", "trained with")
_STRIP_WIDTH = 176
_STRIP_HEIGHT = 20


def system_page(report: SystemReport) -> str:
    """The page of one system that has been scored; figures are read from its folder."""
    selections = selections_of(report.results["summary"])
    lines = [*notes(selections, bool(report.starred), bool(report.paper), [report.results]), *training_notes([report])]
    return _page(report.name, report.run, f"<p>{_headline_text(report)}</p>\n{_system(report)}\n{_notes(lines)}")


def table_page(title: str, reports: Sequence[SystemReport], figures: Path, run: Mapping) -> str:
    """The page of a table: the systems next to the paper's rows, figures, then each system folded away. ``reports``: the
    systems, in the paper's order; those that have not been scored keep their rows; ``figures``: the folder of the table's
    figures; each system's are in its own; ``run``: ``command``, ``settings`` and ``trained_with`` (what all systems share of
    them), and ``environment``.
    """
    done = [report for report in reports if report.results is not None]
    links = {report.name: f"#{_anchor(report.name)}" for report in done}
    sections = [
        f"<p>{len(done)} of {len(reports)} systems finished.</p>",
        grid_html(system_grid(reports), links, _strips(reports)),
        _notes(
            [
                *likeness_notes(reports),
                *notes(
                    selections_of_table(reports),
                    any(report.from_stage1 for report in reports),
                    any(report.paper for report in reports),
                    scored_results(reports),
                ),
            ]
        ),
    ]
    if shown := _figures(figures, TABLE_FIGURES, title):
        sections.append(f"<h2>Figures</h2>\n{shown}")
    if done:
        sections.append("<h2>Systems</h2>")
    for report in done:
        summary = f'{escape(report.name)} <span class="score">{_headline_text(report)}</span>'
        content = f"{_system(report)}\n{_facts(run_facts(report.run))}"
        # A link to something inside opens the details.
        sections.append(
            f'<details>\n<summary>{summary}</summary>\n<div id="{_anchor(report.name)}">\n{content}\n</div>\n</details>'
        )
    return _page(title, run, "\n".join(sections))


def grid_html(grid: Grid, links: Mapping[str, str] | None = None, strips: tuple[str, Sequence[str]] | None = None) -> str:
    """A table in HTML. ``links``: name of a row -> what it links to; ``strips``: heading of a further second column, and its
    cells, one per row; both HTML. Returns ``<table>`` in a box that scrolls by itself where the table is wider than the screen.
    """
    ends = [sum(span for _, span in grid.groups[: i + 1]) for i in range(len(grid.groups))]
    border = ['class="start"' if column in ends else "" for column in range(len(grid.header))]
    heads = [_tag("th", f'scope="col" {border[i]}', _text(name)) for i, name in enumerate(grid.header)]
    if strips:
        heads.insert(1, _tag("th", 'scope="col"', strips[0]))
    rows = [_tag("tr", "", "".join(heads))]
    if grid.groups:
        over = [
            _tag("th", f'scope="colgroup" colspan="{span}"', escape(name)) if name else f'<td colspan="{span}"></td>'
            for name, span in grid.groups
        ]
        rows.insert(0, _tag("tr", "", "".join(["<td></td>" if strips else "", *over])))
    body = []
    for index, (name, *texts) in enumerate(grid.rows):
        label = f'<a href="{escape(links[name])}">{_text(name)}</a>' if links and name in links else _text(name)
        label += ' <span class="badge">best UA</span>' if index == grid.best else ""
        cells = [_tag("th", 'scope="row"', label)]
        cells += [_tag("td", "", strips[1][index])] if strips else []
        cells += [_tag("td", border[i], _text(text)) for i, text in enumerate(texts, 1)]
        body.append(_tag("tr", 'class="best"' if index == grid.best else "", "".join(cells)))
    caption = _tag("caption", "", escape(grid.caption))
    parts = [caption, "<thead>", *rows, "</thead>", "<tbody>", *body, "</tbody>"]
    return '<div class="scroll"><table>\n' + "\n".join(parts) + "\n</table></div>"


def _page(title: str, run: Mapping, main: str) -> str:
    facts = run_facts(run)
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        f"<header>\n<h1>{escape(title)}</h1>\n{_facts({name: facts[name] for name in _HEADER if name in facts})}\n"
        f"<details>\n<summary>Settings and versions</summary>\n<div>{_facts(facts)}</div>\n</details>\n</header>\n"
        f"<main>\n{main}\n</main>\n</body>\n</html>\n"
    )


def _system(report: SystemReport) -> str:
    """A system's tables and figures."""
    grids = [fold_grid(report), *detail_grids(report.results)]
    parts = [grid_html(grid) for grid in grids] + [_figures(report.folder / "figures", FIGURES, report.name)]
    return "\n".join(part for part in parts if part)


def _headline_text(report: SystemReport) -> str:
    which = f"{num_utterances(report.results)} utterances, {scored_folds(report.results)}"
    return escape(f"{score_text('UA', report.ua)} ({report.results['headline']}; {which})")


def _facts(facts: Mapping[str, object]) -> str:
    pairs = "\n".join(f"<dt>{escape(name)}</dt><dd><code>{escape(str(v))}</code></dd>" for name, v in facts.items())
    return f"<dl>\n{pairs}\n</dl>"


def _notes(lines: Iterable[str]) -> str:
    items = "\n".join("<li>" + re.sub("`(.+?)`", r"<code>\1</code>", escape(line, quote=False)) + "</li>" for line in lines)
    return f'<ul class="notes">\n{items}\n</ul>'


def _figures(folder: Path, titles: Mapping[str, str], of: str) -> str:
    """Those figures of a folder that are there, inside the page."""
    shown = []
    for name, title in titles.items():
        path = folder / f"{name}.png"
        if path.is_file():
            png = path.read_bytes()
            width = int.from_bytes(png[16:20], "big") // 2  # drawn finer than the page shows it, for sharp screens
            data = base64.b64encode(png).decode()
            image = f'<img width="{width}" src="data:image/png;base64,{data}" alt="{escape(f"{title}: {of}")}">'
            shown.append(f"<figure>{image}<figcaption>{escape(title)}</figcaption></figure>")
    return '<div class="figures">\n' + "\n".join(shown) + "\n</div>" if shown else ""


def _strips(reports: Sequence[SystemReport]) -> tuple[str, list[str]] | None:
    """A small chart for each row, all on one scale: our pooled headline UA with its interval, and the paper's."""
    values = [report.paper["ua"] for report in reports if "ua" in report.paper]
    for report in reports:
        if report.ua is not None:
            values += [report.ua["pooled"], *(report.ua.get("ci95") or ())]
    if not values:
        return None
    low, high = 5 * floor(min(values) / 5), 5 * ceil((max(values) + 1e-9) / 5)
    margin = 6

    def x(value: float) -> str:
        return f"{margin + (_STRIP_WIDTH - 2 * margin) * (value - low) / (high - low):.1f}"

    middle = _STRIP_HEIGHT // 2
    cells = []
    for report in reports:
        marks, said = [f'<line class="axis" x1="{x(low)}" x2="{x(high)}" y1="{middle}" y2="{middle}"/>'], []
        if report.ua is not None:
            if report.ua.get("ci95"):
                start, end = map(x, report.ua["ci95"])
                marks.append(f'<line class="ours" stroke-width="2" x1="{start}" x2="{end}" y1="{middle}" y2="{middle}"/>')
            marks.append(f'<circle class="ours" cx="{x(report.ua["pooled"])}" cy="{middle}" r="4"/>')
            said.append(f"ours {number(report.ua['pooled'])}")
        if "ua" in report.paper:
            place = x(report.paper["ua"])
            marks.append(f'<line class="paper" x1="{place}" x2="{place}" y1="2" y2="{_STRIP_HEIGHT - 2}"/>')
            said.append(f"paper {number(report.paper['ua'])}")
        label = f'role="img" aria-label="UA: {", ".join(said) or "none"}"'
        cells.append(f'<svg class="strip" viewBox="0 0 {_STRIP_WIDTH} {_STRIP_HEIGHT}" {label}>{"".join(marks)}</svg>')
    key = '<span class="ours">● ours</span>, pooled, 95 %'
    key += '; <span class="paper">| paper</span>' if any(report.paper for report in reports) else ""
    return f'UA, {low} to {high} %<br><span class="key">{key}</span>', cells


def _anchor(name: str) -> str:
    return "system-" + re.sub(r"[^A-Za-z0-9_-]", "-", name)


def _tag(name: str, attributes: str, content: str) -> str:
    return f"<{name}{' ' + attributes.strip() if attributes.strip() else ''}>{content}</{name}>"


def _text(text: str) -> str:
    return f"<strong>{escape(text)}</strong>" if isinstance(text, Strong) else escape(text)
