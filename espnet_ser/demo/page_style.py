"""How the page looks, in light and dark, on wide screens and narrow ones."""

STYLE = """
.gradio-container { max-width: 68rem !important; margin: 0 auto !important; }
.gradio-container h1 { font-size: 1.9rem; line-height: 1.2; margin: .4rem 0 .5rem; font-weight: 650; }
.gradio-container h2 { font-size: 1.2rem; margin: 0 0 .6rem !important; font-weight: 600; }
.gradio-container p { margin: 0 0 .35rem; }
.gradio-container code { font-size: .9em; overflow-wrap: anywhere; }
.gradio-container .html-container { padding: 0 !important; }
.gradio-container .waveform-container { contain: inline-size; }
footer, #ser-over-time:not(:has(.ser-timeline)) { display: none !important; }
.ser-small, .ser-empty { color: var(--body-text-color-subdued); font-size: .88rem; line-height: 1.5; }
ul.ser-small { padding-left: 1.1rem; margin: .4rem 0; list-style: disc; }
.ser-examples { gap: .4rem !important; }
.ser-examples button {
  flex: 0 1 auto !important; min-width: 0 !important; background: none; border: 1px solid var(--border-color-primary);
  padding: .3rem .7rem; font-weight: 400;
}
.ser-examples button:hover { background: var(--border-color-primary); }
.ser-prediction, .ser-timeline, .ser-problem, .ser-empty {
  border: 1px solid var(--border-color-primary); border-radius: .6rem; padding: 1rem 1.1rem;
  background: var(--block-background-fill); box-sizing: border-box;
}
.ser-empty { min-height: 9rem; display: grid; place-content: center; border-style: dashed; }
.ser-problem { border-left: .35rem solid #d55e00; overflow-wrap: anywhere; }
.ser-label { font-size: 1.9rem; line-height: 1.2; font-weight: 650; margin: 0 0 .7rem !important; overflow-wrap: anywhere; }
.ser-key { display: inline-block; width: .62em; height: .62em; border-radius: .16em; margin-right: .4em; }
ul.ser-bars {
  list-style: none; margin: 0 0 1rem; padding: 0;
  display: grid; grid-template-columns: fit-content(45%) 1fr max-content; gap: .4rem .6rem;
}
.ser-bar { display: grid; grid-template-columns: subgrid; grid-column: 1 / -1; align-items: center; }
.ser-bar.ser-is-predicted { font-weight: 650; }
.ser-name { overflow-wrap: anywhere; hyphens: auto; }
.ser-track { height: .85rem; border-radius: .43rem; overflow: hidden; background: var(--border-color-primary); }
.ser-track > span { display: block; height: 100%; }
.ser-value { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.ser-prediction dl { display: grid; grid-template-columns: max-content 1fr; gap: .3rem 1rem; margin: 0; }
.ser-prediction dt { color: var(--body-text-color-subdued); }
.ser-prediction dd { margin: 0; overflow-wrap: anywhere; }
.ser-timeline img { display: block; width: 100%; height: auto; background: #fff; border-radius: .3rem; }
.ser-prediction summary,
.ser-timeline summary { cursor: pointer; margin: .2rem 0 .6rem; color: var(--body-text-color-subdued);
} .ser-timeline table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin-top: .4rem; } .ser-timeline th,
.ser-timeline td { text-align: left; padding: .15rem 1.2rem .15rem 0; font-weight: 400; border: 0; } @media (max-width: 640px) {
  .gradio-container { padding-left: .8rem !important; padding-right: .8rem !important; }
  ul.ser-bars { grid-template-columns: 1fr max-content; gap: .55rem .6rem; }
  .ser-bar { row-gap: .15rem; }
  .ser-track { grid-row: 2; grid-column: 1 / -1; }
  .ser-prediction dd.ser-text { grid-column: 1 / -1; }
}
"""
