"""What a setting from a file may be, and what is said of one that is something else."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from espnet_ser.characters import MAX_NAME, is_shown, is_token, name_fault
from espnet_ser.errors import InputError


class Check(NamedTuple):
    """Whether a value is permitted, and what is permitted in words."""

    holds: Callable[[object], bool]
    wanted: str


def whole_number(least: int, most: int) -> Check:
    """A whole number, and no truth value."""
    return Check(lambda value: type(value) is int and least <= value <= most, f"a whole number from {least} to {most}")


def number(least: float, most: float) -> Check:
    """A number, and no truth value."""
    return Check(lambda value: type(value) in (int, float) and least <= value <= most, f"a number from {least:g} to {most:g}")


def positive(most: float) -> Check:
    """A number above 0."""
    return Check(lambda value: type(value) in (int, float) and 0 < value <= most, f"a number above 0, at most {most:g}")


def flag() -> Check:
    """True or false."""
    return Check(lambda value: type(value) is bool, "true or false")


def choice(known: Sequence[str]) -> Check:
    """One of these texts."""
    return Check(lambda value: type(value) is str and value in known, f"one of {', '.join(known)}")


def text(most: int) -> Check:
    """A text of characters that are shown."""
    return Check(lambda v: type(v) is str and 0 < len(v) <= most and all(map(is_shown, v)), f"a text of 1 to {most} characters")


def name() -> Check:
    """A name of a class, a speaker or a session."""
    return Check(lambda v: type(v) is str and not name_fault(v), f"a word of 1 to {MAX_NAME} characters that are shown")


def token(most: int) -> Check:
    """A token of transcripts."""
    return Check(lambda v: type(v) is str and len(v) <= most and is_token(v), f"a word of 1 to {most} characters")


def several(of: Check, least: int, most: int, unique: bool = False) -> Check:
    """A list."""

    def holds(value: object) -> bool:
        right = type(value) is list and least <= len(value) <= most and all(map(of.holds, value))
        return right and not (unique and len(set(value)) < len(value))

    return Check(holds, f"a list of {least} to {most}{' different values' if unique else ''}, each {of.wanted}")


def mapping() -> Check:
    """Names and values."""
    return Check(lambda value: isinstance(value, dict), "a mapping of names to values")


def optional(of: Check) -> Check:
    """As another, or null."""
    return Check(lambda value: value is None or of.holds(value), f"{of.wanted}, or null")


def check_settings(content: Mapping[str, object], checks: Mapping[str, Check], where: object) -> None:
    """Stops at the first setting that is not permitted. ``checks``: what each may be; a setting that is not there is passed by.
    Raises InputError: names the setting, what it is and what it may be.
    """
    for key, check in checks.items():
        if key in content and not check.holds(content[key]):
            shown = repr(content[key])
            shown = shown if len(shown) <= 80 else f"{shown[:77]}..."
            raise InputError(f"{where}: {key} must be {check.wanted}, not {shown}")
