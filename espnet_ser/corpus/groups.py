"""Whole sessions shared out among folds: each fold holds out every class, and about as many utterances of every kind."""

from collections.abc import Callable, Hashable, Iterable, Sequence

import numpy as np

from espnet_ser.corpus.folds import Item
from espnet_ser.errors import InputError

_TRIES = 100
_CLASS = 1e6  # what a class that a fold lacks weighs against unevenness, which is a few units at most


def even_groups(
    items: Iterable[Item], num_folds: int, class_of: Callable[[Item], Hashable], kind_of: Callable[[Item], Hashable]
) -> dict[int | str, int]:
    """Session -> fold, so that no fold lacks a class if the search finds such a split, else so that as few as can be do.

    Sessions are dealt out from the largest on, each to the fold that has fewest of what it holds. Where a fold then lacks a
    class, other orders are tried, and sessions moved and exchanged; the same items give the same groups. Sessions that share a
    speaker stay together. ``num_folds``: how many folds to make; ``class_of``: what every fold is to hold out; ``kind_of``:
    what is to be even: an utterance's class and gender, say. Raises InputError: there are fewer sessions than folds.

    >>> from collections import namedtuple
    >>> Item = namedtuple("Item", "session speaker gender")
    >>> items = [Item(s, s, g) for s, g in zip("abcd", "ffmm")]
    >>> even_groups(items, 2, lambda item: item.gender, lambda item: item.gender)
    {'a': 1, 'b': 2, 'c': 1, 'd': 2}
    """
    items = list(items)
    units = _units(items)
    if len(units) < num_folds:
        shared = " that share no speaker" if len(units) < len({item.session for item in items}) else ""
        raise InputError(
            f"{num_folds} folds of {len(units)} sessions{shared}: each holds out at least one; ask for fewer folds"
        )
    counts, has = _counted(units, kind_of), _counted(units, class_of) > 0
    fewest = np.maximum(num_folds - has.sum(axis=0), 0).sum()  # that must be lacking: a class in fewer sessions than folds
    best = fold_of = _dealt(counts, num_folds)
    lacking = _num_lacking(has, fold_of, num_folds)
    rng = np.random.default_rng(0)
    for _ in range(_TRIES):
        if lacking == fewest:
            break
        fold_of = _improved(counts, has, _covering(counts, has, num_folds, rng.permutation(len(units))), num_folds)
        num = _num_lacking(has, fold_of, num_folds)
        if num < lacking and len(set(fold_of)) == num_folds:
            best, lacking = fold_of, num
    return {
        session: int(fold) + 1 for unit, fold in zip(units, best, strict=True) for session in sorted({i.session for i in unit})
    }


def most_folds(items: Sequence[Item], num_folds: int, class_of: Callable[[Item], Hashable]) -> int | None:
    """The largest number of folds, up to ``num_folds``, for which a split that lacks no class is found; None for none. Two
    folds of such a split are one fold of a smaller such split, so that the number is found by halving.
    """
    units = _units(items)
    has = _counted(units, class_of) > 0

    def works(number: int) -> bool:
        groups = even_groups(items, number, class_of, class_of)
        fold_of = np.array([groups[unit[0].session] - 1 for unit in units])
        return _num_lacking(has, fold_of, number) == 0

    low, high = 1, min(num_folds, *has.sum(axis=0).tolist())
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if works(middle) else (low, middle - 1)
    return low if low > 1 else None


def _units(items: Iterable[Item]) -> list[list[Item]]:
    """What is never parted: a session, with those that share a speaker with it; the largest first."""
    sessions: dict[object, set] = {}
    together: dict[object, list] = {}  # session -> the items of its unit, one list for all sessions of a unit
    for item in items:
        unit = together.setdefault(item.session, [])
        unit.append(item)
        sessions.setdefault(item.speaker, set()).add(item.session)
    for shared in sessions.values():
        first, *others = sorted(shared)
        for other in others:
            if together[other] is not together[first]:
                together[first].extend(together[other])
                moved = together[other]
                together.update({session: together[first] for session, unit in together.items() if unit is moved})
    units = {id(unit): unit for unit in together.values()}.values()
    return sorted(units, key=lambda unit: (-len(unit), min(item.session for item in unit)))


def _counted(units: Sequence[Sequence[Item]], of: Callable[[Item], Hashable]) -> np.ndarray:
    """Utterances of each unit, by what ``of`` says of them: shape [num_units, num_values]."""
    places = {value: place for place, value in enumerate(sorted({of(item) for unit in units for item in unit}))}
    counts = np.zeros((len(units), len(places)), dtype=int)
    for row, unit in zip(counts, units, strict=True):
        for item in unit:
            row[places[of(item)]] += 1
    return counts


def _dealt(counts: np.ndarray, num_folds: int) -> np.ndarray:
    """Fold, from 0, of each unit: the one that has fewest of what the unit holds; the smallest of several."""
    held = np.zeros((num_folds, counts.shape[1]), dtype=int)
    fold_of = []
    for row in counts:
        fold_of.append(min(range(num_folds), key=lambda fold: (held[fold] @ row, held[fold].sum())))
        held[fold_of[-1]] += row
    return np.array(fold_of)


def _covering(counts: np.ndarray, has: np.ndarray, num_folds: int, order: np.ndarray) -> np.ndarray:
    """As :func:`_dealt`, in another order, and to the fold that lacks most of the unit's classes; rare ones count for more."""
    rarity = 1 / has.sum(axis=0)
    shares = counts / counts.sum(axis=0)
    held, lacks = np.zeros((num_folds, counts.shape[1])), np.ones((num_folds, has.shape[1]), dtype=bool)
    fold_of = np.zeros(len(counts), dtype=int)
    for unit in order:
        fold = np.argmin(held @ shares[unit] - _CLASS * (lacks & has[unit]) @ rarity)
        fold_of[unit] = fold
        held[fold] += shares[unit]
        lacks[fold] &= ~has[unit]
    return fold_of


def _improved(counts: np.ndarray, has: np.ndarray, fold_of: np.ndarray, num_folds: int) -> np.ndarray:
    """Moves the unit whose move helps most, as long as one helps; else exchanges two, for a class that a fold lacks."""
    shares = counts / counts.sum(axis=0)
    units = np.arange(len(counts))
    while True:
        is_in = np.arange(num_folds)[:, None] == fold_of  # [num_folds, num_units]
        held, holders = is_in @ shares, is_in @ has.astype(int)
        lost = ((holders[fold_of] == 1) & has).sum(axis=1, keepdims=True)
        gained = has @ (holders == 0).T.astype(int)
        own = (shares * (held[fold_of] - shares)).sum(axis=1, keepdims=True)
        cost = _CLASS * (lost - gained) + shares @ held.T - own  # [num_units, num_folds]; half the change of the squares
        cost[units, fold_of] = 0
        unit, fold = np.unravel_index(np.argmin(cost), cost.shape)
        if cost[unit, fold] < -1e-9:
            fold_of[unit] = fold
        elif pair := _helpful_exchange(has, fold_of, holders):
            fold_of[list(pair)] = fold_of[list(pair)[::-1]]
        else:
            return fold_of


def _helpful_exchange(has: np.ndarray, fold_of: np.ndarray, holders: np.ndarray) -> tuple[int, int] | None:
    """Two units of two folds after whose exchange fewer classes are lacking."""
    one = has.astype(int)
    for fold, label in np.argwhere(holders == 0):
        ours, theirs = np.flatnonzero(fold_of == fold), np.flatnonzero(has[:, label])
        change = one[theirs][:, None] - one[ours]  # [theirs, ours, classes]: what our fold would win
        before = (holders[fold] == 0).sum() + (holders[fold_of[theirs]] == 0).sum(axis=1, keepdims=True)
        after = (holders[fold] + change == 0).sum(axis=2) + (holders[fold_of[theirs]][:, None] - change == 0).sum(axis=2)
        if (after < before).any():
            their, our = np.unravel_index(np.argmin(after - before), after.shape)
            return int(theirs[their]), int(ours[our])
    return None


def _num_lacking(has: np.ndarray, fold_of: np.ndarray, num_folds: int) -> int:
    """Pairs of a fold and a class that it does not hold out."""
    return sum(int((~has[fold_of == fold].any(axis=0)).sum()) for fold in range(num_folds))
