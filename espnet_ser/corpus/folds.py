"""Cross-validation folds in which no speaker is on both sides."""

from collections.abc import Iterable
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
        number: From 1; the held-out session's or speaker's place in sorted order.
        by: ``'session'`` or ``'speaker'``: what is held out.
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
            raise InputError(f"{self.name}: {sorted(map(str, shared))} would be in training and in test; mend the speaker ids")

    @property
    def name(self) -> str:
        """The name of its folder, such as ``fold1``."""
        return f"fold{self.number}"


def make_folds(items: Iterable[Item], by: str = "session") -> list[Fold[Item]]:
    """Folds that each hold out one session (5 in IEMOCAP; the paper's protocol) or one speaker (10).

    With one speaker held out, the other speaker of that session stays in training.

    Args:
        items: Utterances of any kind.
        by: ``'session'`` or ``'speaker'``.

    Raises:
        InputError: There are fewer than two sessions (speakers), or a speaker is in two sessions.
    """
    if by not in ("session", "speaker"):
        raise unknown_name("way to fold", by, ["session", "speaker"])
    items = tuple(items)
    groups = sorted({getattr(item, by) for item in items})
    if len(groups) < 2:
        raise InputError(f"cannot hold out one {by} of {len(groups)}: at least two are needed, found {groups}")
    return [
        Fold(
            number=number,
            by=by,
            train=tuple(item for item in items if getattr(item, by) != held_out),
            test=tuple(item for item in items if getattr(item, by) == held_out),
        )
        for number, held_out in enumerate(groups, start=1)
    ]
