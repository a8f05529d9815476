"""Cross-validation folds in which no speaker is on both sides."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import combinations
from typing import Generic, Protocol, TypeVar

from espnet_ser.errors import InputError, unknown_name


class Spoken(Protocol):
    """Anything with a session and a speaker: an Utterance, an Example."""

    @property
    def session(self) -> int | str: ...  # noqa: D102

    @property
    def speaker(self) -> str: ...  # noqa: D102


Item = TypeVar("Item", bound=Spoken)

PARTS = ("train", "dev", "test")  # what a model is trained on, what chooses its epoch, and what it is scored on

_IN = {"train": "training", "dev": "dev", "test": "test"}


@dataclass(frozen=True)
class Fold(Generic[Item]):
    """One turn of cross-validation."""

    number: int  # from 1; the held-out session's or speaker's place in sorted order, or the number that a corpus gives the fold
    by: str  # ``'session'`` or ``'speaker'``: what is never on both sides (where it is sessions, speakers are not either)
    train: tuple[Item, ...]  # the utterances to train on, in the order they were given
    test: tuple[Item, ...]  # the held-out utterances
    dev: tuple[Item, ...] = ()  # those that choose the epoch, neither trained on nor scored; none in cross-validation

    def __post_init__(self):
        for name, other in combinations(PARTS, 2):
            part, rest = getattr(self, name), getattr(self, other)
            shared = {item.speaker for item in part} & {item.speaker for item in rest}
            if self.by == "session":
                shared |= {item.session for item in part} & {item.session for item in rest}
            if shared:
                who = sorted(map(str, shared))
                where = f"{_IN[name]} and in {_IN[other]}"
                raise InputError(f"{self.name}: {who} would be in {where}; correct the speaker ids, or fold otherwise")

    @property
    def name(self) -> str:
        """The name of its folder, such as ``fold1``."""
        return f"fold{self.number}"


def make_folds(items: Iterable[Item], by: str = "session", fold_of: Callable[[Item], int] | None = None) -> list[Fold[Item]]:
    """Folds that each hold out one session (5 in IEMOCAP; the paper's protocol) or one speaker (10), or what they are given to.
    With one speaker held out, the other speaker of that session stays in training. ``by``: ``'session'`` or ``'speaker'``;
    ``fold_of``: the number of the fold that holds an utterance out; None for a fold for each session (speaker). Raises
    InputError: there are fewer than two sessions (speakers, folds), or a speaker is in two of them.
    """
    if by not in ("session", "speaker"):
        raise unknown_name("way to fold", by, ["session", "speaker"])
    items = tuple(items)
    if fold_of is None:
        groups = sorted({getattr(item, by) for item in items})
        places = {group: place for place, group in enumerate(groups, start=1)}
        numbers = [places[getattr(item, by)] for item in items]
    else:
        numbers = [fold_of(item) for item in items]
        groups = sorted(set(numbers))
    if len(groups) < 2:
        what = by if fold_of is None else "fold"
        raise InputError(f"cannot hold out one {what} of {len(groups)}: at least two are needed, found {groups}")
    pairs = list(zip(items, numbers, strict=True))
    return [
        Fold(
            number=number,
            by=by,
            train=tuple(item for item, other in pairs if other != number),
            test=tuple(item for item, other in pairs if other == number),
        )
        for number in sorted(set(numbers))
    ]


def official_fold(items: Iterable[Item], part_of: Callable[[Item], str]) -> Fold[Item]:
    """The one fold of a corpus that comes with parts of its own. ``part_of``: which part an utterance is in, of :data:`PARTS`;
    nothing need be in ``dev``. Raises InputError: nothing is in ``train`` or in ``test``, or a speaker is in two parts.
    """
    parts: dict[str, list[Item]] = {name: [] for name in PARTS}
    for item in items:
        parts[part_of(item)].append(item)
    for name in ("train", "test"):
        if not parts[name]:
            raise InputError(f"no utterance is in {name}: a model is trained on train and scored on test")
    return Fold(number=1, by="speaker", **{name: tuple(part) for name, part in parts.items()})
