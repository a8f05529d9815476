"""The header of a model card, which the Hugging Face hub reads: licence, language, encoder, and scores as ``model-index``."""

import re
from collections.abc import Mapping

from huggingface_hub import EvalResult, ModelCardData

from espnet_ser.publish.card_facts import HUB_NAME, NOT_STATED, CardFacts
from espnet_ser.report.wording import scored_folds
from espnet_ser.tasks_table import MAIN_TASK

_LICENSES = r"(cc0-1\.0|cc-by(-nc)?(-sa|-nd)?-(2\.0|2\.5|3\.0|4\.0)|apache-2\.0|mit|odc-by|odbl|pddl|bsd-3-clause|unlicense)"
"""Corpora's licences that the hub knows by their identifiers, as a regular expression; others it calls ``other``."""


def card_metadata(facts: CardFacts) -> ModelCardData:
    """What the hub knows a model by: what is not known of its corpus is left out, or not stated."""
    corpus = facts.corpus
    license = corpus.license.lower().replace(" ", "-")
    if re.fullmatch(_LICENSES, license):
        terms = {"license": license}
    elif corpus.license:
        terms = {"license": "other", "license_name": _identifier(corpus.license), "license_link": corpus.url or None}
    else:
        terms = {"license": "unknown"}
    dataset = re.fullmatch(f"https://huggingface\\.co/datasets/({HUB_NAME})/?", corpus.url)
    with_transformers = {"library_name": "transformers", "pipeline_tag": "audio-classification"}
    return ModelCardData(
        language=[_language(tag) for tag in corpus.lang.split()] or None,
        **terms,
        **(with_transformers if MAIN_TASK in facts.exported else {}),
        tags=["speech-emotion-recognition", "espnet", *(["onnx"] if facts.onnx else [])],
        base_model=facts.encoder_on_hub[0] or None,
        datasets=[dataset[1]] if dataset else None,
        model_name=f"{facts.system}, fold {facts.fold}",
        eval_results=_eval_results(facts),
    )


def _eval_results(facts: CardFacts) -> list[EvalResult]:
    """This model's scores and the system's, as the hub's ``model-index`` has them."""
    name = facts.corpus.name or NOT_STATED
    scores, trust = facts.scores()
    summary = facts.results["summary"][facts.results["headline"]]
    own = {s: (scores[s], _intervals(trust[s])) for s in ("ua", "wa")}
    system = {
        s: (by["mean"], {"deviation": by["std"], "pooled": by["pooled"], **_intervals(by)})
        for s, by in summary.items()
        if s in ("ua", "wa")
    }
    splits = {
        f"fold {facts.fold}, held out: this model": own,
        f"{scored_folds(facts.results)}, each held out: the system's mean": system,
    }
    kinds = {"ua": ("recall", "UA: mean recall over classes, %"), "wa": ("accuracy", "WA: accuracy, %")}
    return [
        EvalResult(
            task_type="audio-classification",
            task_name="speech emotion recognition",
            dataset_type=_identifier(name),
            dataset_name=name,
            dataset_split=split,
            metric_type=kinds[s][0],
            metric_name=kinds[s][1],
            metric_value=round(value, 2),
            metric_args={**more, "num_folds": 1 if by is own else len(facts.results["folds"])},
        )
        for split, by in splits.items()
        for s, (value, more) in by.items()
    ]


def _intervals(score: Mapping) -> dict[str, list[float] | None]:
    """The 95 % intervals over utterances and over speakers."""
    ends = {"interval_95_utterances": score["ci95"], "interval_95_speakers": score["ci95_speakers"]}
    return {name: found and [round(float(end), 2) for end in found] for name, found in ends.items()}


def _identifier(name: str) -> str:
    """A name in small letters, digits and hyphens, as the hub wants identifiers.

    >>> _identifier('Licence: "free", for research')
    'licence-free-for-research'
    """
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "corpus"


def _language(tag: str) -> str:
    """A language's tag as the hub knows it: ``EN`` is ``en``, ``pt-BR`` stays."""
    code, *region = tag.split("-")
    return "-".join([code.lower(), *region])
