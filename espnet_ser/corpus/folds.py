"""Cross-validation folds in which no speaker is on both sides."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from espnet_ser.errors import InputError, unknown_name


class Spoken(Protocol):
    """Anything with a session and a speaker: an Utterance, an Example."""

    @property
    def session(self) -> int | str: ...  # noqa: D102

    @property
    def speaker(self) -> str: ...  # noqa: D102


Item = TypeVar("Item", bound=Spoken)


@dataclass(frozen=True)
class Fold(Generic[Item]):
    """One turn of cross-validation.

    Attributes:
        number: From 1; the held-out session's or speaker's place in sorted order, or the number that a corpus gives the fold.
        by: ``'session'`` or ``'speaker'``: what is never on both sides (where it is sessions, speakers are not either).
        train: The utterances to train on, in the order they were given.
        test: The held-out utterances.
    """

    number: int
    by: str
    train: tuple[Item, ...]
    test: tuple[Item, ...]

    def __post_init__(self):
        shared = {item.speaker for item in self.train} & {item.speaker for item in self.test}
        if self.by == "session":
            shared |= {item.session for item in self.train} & {item.session for item in self.test}
        if shared:
            who = sorted(map(str, shared))
            raise InputError(f"{self.name}: {who} would be in training and in test; mend the speaker ids, or fold otherwise")

    @property
    def name(self) -> str:
        """The name of its folder, such as ``fold1``."""
        return f"fold{self.number}"


def make_folds(items: Iterable[Item], by: str = "session", fold_of: Callable[[Item], int] | None = None) -> list[Fold[Item]]:
    """Folds that each hold out one session (5 in IEMOCAP; the paper's protocol) or one speaker (10), or what they are told to.

    With one speaker held out, the other speaker of that session stays in training.

    Args:
        items: Utterances of any kind.
        by: ``'session'`` or ``'speaker'``.
        fold_of: The number of the fold that holds an utterance out; None for a fold for each session (speaker).

    Raises:
        InputError: There are fewer than two sessions (speakers, folds), or a speaker is in two of them.
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


def even_groups(items: Iterable[Item], num_folds: int, kind_of: Callable[[Item], object]) -> dict[int | str, int]:
    """Session -> fold, whole sessions shared out among folds so that each holds about as many utterances of every kind.

    Sessions are dealt out from the largest on, each to the fold that has fewest of what it holds; nothing is drawn by chance.

    Args:
        items: Utterances of any kind.
        num_folds: How many folds to make.
        kind_of: What is to be even: an utterance's class and gender, say.

    Raises:
        InputError: There are fewer sessions than folds.

    >>> from collections import namedtuple
    >>> Item = namedtuple("Item", "session speaker gender")
    >>> items = [Item(s, s, g) for s, g in zip("abcd", "ffmm")]
    >>> even_groups(items, 2, lambda item: item.gender)
    {'a': 1, 'b': 2, 'c': 1, 'd': 2}
    """
    kinds: dict[int | str, Counter] = {}
    for item in items:
        kinds.setdefault(item.session, Counter())[kind_of(item)] += 1
    if len(kinds) < num_folds:
        raise InputError(f"{num_folds} folds of {len(kinds)} sessions: each holds out at least one; ask for fewer folds")
    held: dict[int, Counter] = {number: Counter() for number in range(1, num_folds + 1)}
    fold_of = {}
    for session in sorted(kinds, key=lambda session: (-kinds[session].total(), session)):

        def alike(number: int, session=session) -> tuple[int, int]:
            return sum(held[number][kind] * count for kind, count in kinds[session].items()), held[number].total()

        fold_of[session] = min(held, key=alike)
        held[fold_of[session]] += kinds[session]
    return fold_of
