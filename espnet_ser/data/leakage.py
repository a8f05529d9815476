"""Which speech a model was trained on, and the checks that it is not tested on that.

The intermediate finetuning is inside the fold: an encoder that was finetuned on the held-out session,
if only for ASR, has seen the test data.
"""

import json
from collections.abc import Iterable, Mapping
from math import inf

from espnet_ser.data.datadir import Example
from espnet_ser.data.spelling import loose_spelling, plain_spelling, spelt_alike
from espnet_ser.errors import InputError
from espnet_ser.utils.hashing import fingerprint

_SHOWN = 3
_SHARED = (
    ("utt", "utterance id", "run stage 1 again, which keeps them apart"),
    ("wav", "audio file", "list it once, or run stage 1 again"),
    ("sha256", "audio, byte for byte", "leave one of the two out, or give both the same speaker"),
    ("samples_sha256", "audio, sample for sample", "leave one of the two out, or give both the same speaker"),
)
"""What utterances of both sides may have in common: field, what it is called, and what to do."""

MAX_NAMES_BYTES = 300_000
"""Of all speakers, and of all sessions, as JSON: each model's ``config.yaml`` lists those that it was trained on."""


def describe_training_data(examples: Iterable[Example]) -> dict[str, object]:
    """Which speech a model was trained on: kept in its ``config.yaml``, wherever it goes."""
    examples = list(examples)
    return {
        "sessions": sorted({example.session for example in examples}),
        "speakers": sorted({example.speaker for example in examples}),
        "num_utts": len(examples),
        "utts_sha256": fingerprint(sorted(example.utt for example in examples)),
    }


def all_of(*trained_on: Mapping | None) -> dict[str, list[str]] | None:
    """What several trainings, one after another, have seen: sessions and speakers; None where nothing is known of any.

    >>> all_of({"sessions": ["1"], "speakers": ["b"]}, None, {"sessions": ["1"], "speakers": ["a"]})
    {'sessions': ['1'], 'speakers': ['a', 'b']}
    """
    known = [record for record in trained_on if record]
    if not known:
        return None
    return {key: sorted({name for record in known for name in record[key]}) for key in ("sessions", "speakers")}


def check_size_of_names(examples: Iterable[Example], where: object) -> None:
    """Stops at more speakers and sessions than a trained model's ``config.yaml`` has room for. ``examples``: all that may be
    trained on. Raises InputError: says how many characters there are.
    """
    examples = list(examples)
    for kind in ("speaker", "session"):
        names = {getattr(example, kind) for example in examples}
        num_bytes = len(json.dumps(sorted(names)))
        if num_bytes > MAX_NAMES_BYTES:
            raise InputError(
                f"{where}: the names of {len(names):,} {kind}s take {num_bytes:,} bytes, at most {MAX_NAMES_BYTES:,} can be "
                f"kept with a model; give them shorter ones"
            )


def check_leak(
    trained_on: Mapping | None,
    test: Iterable[Example],
    by: str,
    source: object,
    remedy: str = "train the intermediate model for this very fold",
) -> None:
    """Stops a model that was trained on what it is to be tested on. ``trained_on``: from :func:`describe_training_data`;
    ``by``: what folds leave out, ``session`` or ``speaker``; ``remedy``: what to do about it. Raises InputError when a held-out
    speaker (or, for folds by session, session) was trained on, or nothing is known of it.
    """
    if not trained_on or not {"sessions", "speakers"} <= set(trained_on):
        raise InputError(f"{source} does not say what it was trained on, so it cannot be shown to be free of the test data")
    test = list(test)
    for kind in ("session", "speaker") if by == "session" else ("speaker",):
        known = set(map(plain_spelling, trained_on[f"{kind}s"]))
        shared = sorted(name for name in {getattr(example, kind) for example in test} if plain_spelling(name) in known)
        if shared:
            raise InputError(
                f"{source} was trained on {kind} {', '.join(shared)}, which this fold holds out for testing; {remedy}"
            )


def check_shared_speech(train: Iterable[Example], test: Iterable[Example]) -> None:
    """Stops a training on held-out speech under whatever name. Raises InputError when an utterance id, an audio file, the
    content of one or its samples are on both sides, or a speaker under two spellings.
    """
    train, test = list(train), list(test)
    speakers = spelt_alike({example.speaker for example in test}, {example.speaker for example in train})
    if speakers:
        shown = ", ".join(f"{name!a} and {other!a}" for name, other in speakers[:_SHOWN])
        raise InputError(
            f"speakers held out and trained on differ in spelling alone ({shown}): write one speaker's id alike everywhere, or "
            "give two people ids that differ in more than case, script or invisible characters; then run stage 1 again"
        )
    for field, kind, remedy in _SHARED:
        if field == "wav":
            _check_shared_parts(train, test, kind, remedy)
            continue
        held_out = {str(value): example.utt for example in test if (value := getattr(example, field))}
        pairs = [(example.utt, held_out[value]) for example in train if (value := str(getattr(example, field))) in held_out]
        if pairs:
            more = f" ({len(pairs)} such pairs)" if len(pairs) > 1 else ""
            raise InputError(
                f"training utterance {pairs[0][0]} and held-out utterance {pairs[0][1]} have the same {kind}{more}: {remedy}"
            )


def _check_shared_parts(train: Iterable[Example], test: Iterable[Example], shared: str, remedy: str) -> None:
    """Stops a training on a moment of a file that is held out too."""
    held_out: dict[str, list[Example]] = {}
    for example in test:
        held_out.setdefault(str(example.wav), []).append(example)
    for example in train:
        start_s, end_s = _span(example)
        for other in held_out.get(str(example.wav), ()):
            other_start_s, other_end_s = _span(other)
            if start_s < other_end_s and other_start_s < end_s:
                if example.segment and other.segment:
                    shared = f"audio from {max(start_s, other_start_s):g} to {min(end_s, other_end_s):g} s of {example.wav}"
                    remedy = "let folds hold out whole recordings (utt2session, utt2fold), or correct segments"
                raise InputError(
                    f"training utterance {example.utt} and held-out utterance {other.utt} have the same {shared}: {remedy}"
                )


def _span(example: Example) -> tuple[float, float]:
    return (0.0, inf) if example.segment is None else (example.segment.start_s, example.segment.end_s)


def alike_speakers(train: Iterable[Example], test: Iterable[Example]) -> str:
    """Says which held-out speakers may be trained on under another id: one that differs in zeros or marks; '' for none."""
    held_out, others = ({example.speaker for example in examples} for examples in (test, train))
    pairs = spelt_alike(held_out, others, loose_spelling)
    if not pairs:
        return ""
    shown = ", ".join(f"{name} and {other}" for name, other in pairs[:_SHOWN])
    return f"{shown} are held out and trained on: if that is one speaker, write the id alike and run stage 1 again"


def labelled_twice(examples: Iterable[Example]) -> str:
    """Says which utterances are the same audio and of different emotions; '' for none."""
    first: dict[str, Example] = {}
    pairs = [
        (example, other)
        for example in examples
        if example.samples_sha256 and (other := first.setdefault(example.samples_sha256, example)).emotion != example.emotion
    ]
    if not pairs:
        return ""
    shown = ", ".join(f"{one.utt} ({one.emotion}) and {other.utt} ({other.emotion})" for other, one in pairs[:_SHOWN])
    more = f" and {len(pairs) - _SHOWN} more" * (len(pairs) > _SHOWN)
    return f"{shown}{more} are the same audio under different emotions: correct a label, or leave one of the two out"
