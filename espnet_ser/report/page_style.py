"""How the page looks: one style sheet, light and dark, on screen and on paper."""

STYLE = """
:root {
  color-scheme: light dark;
  --ground: #fbfbfa; --card: #ffffff; --text: #1d2125; --faint: #5b6570; --line: #dfe3e6; --mark: #fff6d6;
  --ours: #0072b2; --paper: #c24a00;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #16191c; --card: #1f2428; --text: #e6e9ec; --faint: #9aa5af; --line: #343b41; --mark: #3a3420;
    --ours: #56b4e9; --paper: #ff9a57;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; max-width: 94rem; padding: 2rem 1.25rem 4rem; background: var(--ground); color: var(--text);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
}
h1 { font-size: 1.8rem; line-height: 1.2; margin: 0 0 1rem; overflow-wrap: anywhere; }
h2 { font-size: 1.3rem; margin: 2.6rem 0 .8rem; }
a { color: var(--ours); }
code { font: .87em/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; overflow-wrap: anywhere; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1.2rem; margin: 0; font-size: .92rem; }
dt { color: var(--faint); }
dd { margin: 0; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; border: 1px solid var(--line); border-radius: .5rem; background: var(--card); margin: 1rem 0; }
table { border-collapse: collapse; width: 100%; font-size: .86rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; white-space: normal; padding: .7rem .8rem .5rem; color: var(--faint); }
th, td { padding: .3rem .42rem; text-align: right; white-space: nowrap; }
th:first-child { text-align: left; position: sticky; left: 0; background: var(--card); }
thead th { font-weight: 600; color: var(--faint); border-bottom: 1px solid var(--line); }
thead th { vertical-align: bottom; white-space: normal; }
thead tr:not(:last-child) > * { text-align: center; border-bottom: 0; padding-bottom: 0; color: var(--text); position: static; }
tbody th { font-weight: 400; }
tbody tr + tr > * { border-top: 1px solid var(--line); }
.start { border-left: 1px solid var(--line); }
tr.best > * { background: var(--mark); }
.badge { font-size: .75rem; font-weight: 600; border: 1px solid; border-radius: 1rem; padding: 0 .45rem; margin-left: .4rem; }
svg.strip { display: block; width: 9rem; height: 1.2rem; }
.strip .axis { stroke: var(--line); } .strip .ours { stroke: var(--ours); fill: var(--ours); }
.strip .paper { stroke: var(--paper); fill: none; stroke-width: 1.6; }
.key .ours { color: var(--ours); } .key .paper { color: var(--paper); }
.notes { font-size: .9rem; color: var(--faint); padding-left: 1.1rem; }
.notes li { margin: .2rem 0; }
.figures { display: flex; flex-wrap: wrap; gap: 1rem; align-items: flex-start; }
figure { margin: 0; max-width: 100%; padding: .6rem; background: #fff; border: 1px solid var(--line); border-radius: .5rem; }
figure img { display: block; max-width: 100%; height: auto; }
figcaption { color: #4c555e; font-size: .85rem; padding-top: .4rem; }
details { border: 1px solid var(--line); border-radius: .5rem; background: var(--card); margin: .6rem 0; }
summary { cursor: pointer; padding: .6rem .9rem; font-weight: 600; overflow-wrap: anywhere; }
summary .score { font-weight: 400; color: var(--faint); margin-left: .6rem; font-variant-numeric: tabular-nums; }
details > div { padding: 0 .9rem 1rem; scroll-margin-top: 4rem; }
@media print {
  :root { color-scheme: light; --ground: #fff; --card: #fff; --text: #000; --faint: #444; --line: #bbb; --mark: #fff6d6;
    --ours: #0072b2; --paper: #c24a00; }
  body { max-width: none; padding: 0; font-size: 11px; }
  .scroll { overflow: visible; border: 0; }
  th, td { padding: .15rem .35rem; }
  svg.strip { width: 7rem; }
  tr, figure, summary { break-inside: avoid; }
  details::details-content { content-visibility: visible; block-size: auto; }
  a { color: inherit; text-decoration: none; }
}
"""
