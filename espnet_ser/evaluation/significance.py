"""Is one system better than another? Paired tests over the very same utterances."""

from collections.abc import Mapping, Sequence

import numpy as np

from espnet_ser.errors import InputError
from espnet_ser.evaluation.intervals import accuracies_of_counts, bootstrap_counts, jackknife_interval, table
from espnet_ser.tasks_table import MAIN_TASK

ALPHA = 0.05  # a difference with a smaller p value is called one

_SCORE_NAMES = {"ua": "UA", "wa": "WA"}


def compare(
    a_by_fold: Mapping[str, Sequence[Mapping]],
    b_by_fold: Mapping[str, Sequence[Mapping]],
    num_draws: int = 10_000,
    seed: int = 0,
) -> dict:
    """Compares two systems on pooled UA and WA; every difference is B - A, in points of percent.

    - ``ci95`` and UA's ``p``: paired bootstrap. Utterances are drawn with replacement within each fold, the same ones for both
      systems. The interval is the percentile one. The two-sided p value inverts it (Efron & Tibshirani 1993, Ch. 15), with
      the +1 that keeps it above zero (Davison & Hinkley 1997, Ch. 4): ``2 (min(#{d* <= 0}, #{d* >= 0}) + 1) / (draws + 1)``,
      at most 1.
    - WA's ``p``: McNemar's test in its exact (binomial) form, over the utterances that one system alone has right.
    - ``ci95_speakers``: utterances of a speaker are not independent, so the above speaks of these speakers only. This interval
      asks what other speakers would give: :func:`~espnet_ser.evaluation.intervals.jackknife_interval`. None for a single
      speaker.

    Neither p value is corrected for trying many pairs of systems.

    Args:
        a_by_fold: Fold -> lines of predictions of system A.
        b_by_fold: The same folds of system B.
        num_draws: Of the bootstrap.
        seed: Of the draws; they do not depend on the order of lines or folds.

    Returns:
        ``{"n", "num_speakers", "ua": {"a", "b", "difference", "ci95", "ci95_speakers", "p"}, "wa": {the same, "only_a_right",
        "only_b_right"}}``.

    Raises:
        InputError: When the two are not over the same utterances with the same references, or an utterance is in two folds;
            says which.
    """
    from scipy.stats import binomtest

    pairs_by_fold = _pair(a_by_fold, b_by_fold)
    pairs = [pair for fold_pairs in pairs_by_fold for pair in fold_pairs]
    labels = sorted({a[MAIN_TASK]["ref"] for a, _ in pairs})
    speakers = sorted({a["speaker"] for a, _ in pairs})

    def cell(a: Mapping, b: Mapping) -> int:
        ref = a[MAIN_TASK]["ref"]
        return 4 * labels.index(ref) + 2 * (a[MAIN_TASK]["hyp"] == ref) + (b[MAIN_TASK]["hyp"] == ref)

    cells_by_fold = [np.array([cell(a, b) for a, b in fold_pairs]) for fold_pairs in pairs_by_fold]
    indices = np.array([speakers.index(a["speaker"]) for a, _ in pairs])
    by_speaker = table(indices, np.concatenate(cells_by_fold), len(speakers), 4 * len(labels))
    counts = by_speaker.sum(0)
    observed_a, observed_b = _accuracies(counts)
    drawn = _differences(bootstrap_counts(cells_by_fold, len(counts), num_draws, seed))
    without_speaker = _differences(counts - by_speaker) if len(speakers) > 1 else None
    result: dict = {"n": len(pairs), "num_speakers": len(speakers)}
    for name, difference in _differences(counts).items():
        low, high = np.percentile(drawn[name], [2.5, 97.5])
        result[name] = {
            "a": float(observed_a[name]),
            "b": float(observed_b[name]),
            "difference": float(difference),
            "ci95": [float(low), float(high)],
            "ci95_speakers": None if without_speaker is None else jackknife_interval(float(difference), without_speaker[name]),
        }
    smaller_tail = min((drawn["ua"] <= 0).sum(), (drawn["ua"] >= 0).sum())
    result["ua"]["p"] = min(1.0, 2 * (int(smaller_tail) + 1) / (num_draws + 1))
    _, only_b, only_a, _ = (int(count) for count in counts.reshape(-1, 4).sum(0))
    p = float(binomtest(only_a, only_a + only_b).pvalue) if only_a + only_b else 1.0
    result["wa"] |= {"p": p, "only_a_right": only_a, "only_b_right": only_b}
    return result


def comparison_text(result: Mapping, name_a: str = "A", name_b: str = "B") -> str:
    """The outcome of :func:`compare` as a small table and a sentence."""
    speakers = f"{result['num_speakers']} speaker{'s' if result['num_speakers'] != 1 else ''}"
    lines = [f"A: {name_a}", f"B: {name_b}", f"{result['n']} utterances of {speakers}", ""]
    lines.append(f"{'':4}{'A':>7}{'B':>8}{'B - A':>8}{'95 % interval':>18}{'over speakers':>18}")
    for name, title in _SCORE_NAMES.items():
        score = result[name]
        intervals = "".join(f"{_interval(score[key]):>18}" for key in ("ci95", "ci95_speakers"))
        columns = f"{score['a']:7.2f}{score['b']:8.2f}{_points(score['difference']):>8}{intervals}"
        lines.append(f"{title:4}{columns}{_p_value(score['p']):>12}")
    wa = result["wa"]
    lines += ["", f"utterances that only A has right: {wa['only_a_right']}; only B: {wa['only_b_right']}"]
    lines.append(
        "scores are of all folds together; p: paired bootstrap (UA), exact McNemar test (WA); over speakers: 95 % interval, "
        "jackknife over them"
    )
    return "\n".join([*lines, "", conclusion(result)])


def conclusion(result: Mapping) -> str:
    """One sentence: which system is better on which score, if any.

    >>> ua = {"difference": 1.8, "p": 0.012, "ci95_speakers": [0.1, 3.5]}
    >>> conclusion({"ua": ua, "wa": {**ua, "difference": -0.2, "p": 0.7}})
    'B is better on UA (p = 0.012); on WA no difference was found (p = 0.700).'
    """
    p_values = {name: _p_value(result[name]["p"]) for name in _SCORE_NAMES}
    if all(result[name]["p"] >= ALPHA for name in _SCORE_NAMES):
        return f"No difference was found ({p_values['ua']} on UA, {p_values['wa']} on WA)."
    parts = []
    for name, title in _SCORE_NAMES.items():
        score = result[name]
        if score["p"] >= ALPHA:
            parts.append(f"on {title} no difference was found ({p_values[name]})")
            continue
        better = "B" if score["difference"] > 0 else "A"
        low, high = score["ci95_speakers"] or (-np.inf, np.inf)
        doubt = ", though other speakers might tell otherwise" if low <= 0 <= high else ""
        parts.append(f"{better} is better on {title} ({p_values[name]}){doubt}")
    text = "; ".join(parts)
    return f"{text[0].upper()}{text[1:]}."


def _pair(
    a_by_fold: Mapping[str, Sequence[Mapping]], b_by_fold: Mapping[str, Sequence[Mapping]]
) -> list[list[tuple[Mapping, Mapping]]]:
    """For each fold, both systems' lines of each utterance, sorted by utterance."""
    if not a_by_fold or set(a_by_fold) != set(b_by_fold):
        folds = [" ".join(sorted(by_fold)) or "none" for by_fold in (a_by_fold, b_by_fold)]
        raise InputError(f"folds of A: {folds[0]}; of B: {folds[1]}; compare them over the same folds")
    pairs_by_fold: list[list[tuple[Mapping, Mapping]]] = []
    fold_of: dict[str, str] = {}
    for fold in sorted(a_by_fold):
        lines = {name: _by_utt(by[fold], f"fold {fold} of {name}") for name, by in (("A", a_by_fold), ("B", b_by_fold))}
        a, b = lines["A"], lines["B"]
        for name, other in (("A", "B"), ("B", "A")):
            alone = lines[name].keys() - lines[other].keys()
            if alone:
                raise InputError(
                    f"fold {fold}: utterances in {name} that are not in {other}: {len(alone)}, such as {min(alone)}; "
                    f"only predictions of the same utterances can be compared"
                )
        for key, of in (("ref", lambda line: line[MAIN_TASK]["ref"]), ("speaker", lambda line: line["speaker"])):
            differing = [utt for utt in sorted(a) if of(a[utt]) != of(b[utt])]
            if differing:
                first = differing[0]
                raise InputError(
                    f"fold {fold}: utterances whose {key!r} is not the same in both: {len(differing)}, such as {first} "
                    f"({of(a[first])!r} in A, {of(b[first])!r} in B); predict both from the same data"
                )
        twice = a.keys() & fold_of.keys()
        if twice:
            first = min(twice)
            raise InputError(
                f"fold {fold}: utterances that are in another fold too: {len(twice)}, such as {first} (fold {fold_of[first]}); "
                f"compare folds that hold out different utterances"
            )
        fold_of |= dict.fromkeys(a, fold)
        pairs_by_fold.append([(a[utt], b[utt]) for utt in sorted(a)])
    return pairs_by_fold


def _by_utt(lines: Sequence[Mapping], where: str) -> dict[str, Mapping]:
    by_utt: dict[str, Mapping] = {}
    for number, line in enumerate(lines, 1):
        names = {"utt": line.get("utt"), "speaker": line.get("speaker")}
        for key, value in {**names, **{key: line.get(MAIN_TASK, {}).get(key) for key in ("ref", "hyp")}}.items():
            if not isinstance(value, str):
                raise InputError(f"{where}, line {number}: {key!r} is {value!r}, not a name; run stage 5 again")
        if line["utt"] in by_utt:
            raise InputError(f"{where}, line {number}: {line['utt']} is there twice; run stage 5 again")
        by_utt[line["utt"]] = line
    if not by_utt:
        raise InputError(f"{where}: no prediction; run stage 5 again")
    return by_utt


def _accuracies(counts: np.ndarray) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """UA and WA of A and of B from counts of (class, A is right, B is right): [..., labels * 4]."""
    cube = counts.reshape(*counts.shape[:-1], -1, 2, 2)  # [..., labels, A is right, B is right]
    total = cube.sum((-2, -1))
    return accuracies_of_counts(cube[..., 1, :].sum(-1), total), accuracies_of_counts(cube[..., :, 1].sum(-1), total)


def _differences(counts: np.ndarray) -> dict[str, np.ndarray]:
    """B - A; rounded so that equal scores differ by nothing, not by 1e-15, when draws on either side of 0 are counted."""
    a, b = _accuracies(counts)
    return {name: np.round(b[name] - a[name], 9) for name in a}


def _interval(bounds: Sequence[float] | None) -> str:
    return "-" if bounds is None else " to ".join(map(_points, bounds))


def _points(difference: float) -> str:
    return f"{round(difference, 2) + 0.0:+.2f}"  # + 0.0: no -0.00


def _p_value(p: float) -> str:
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"
