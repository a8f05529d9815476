"""One thing that was checked."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from espnet_ser.errors import InputError

DAMAGE = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, OSError)
"""What readers raise at content that no command of ours has written."""


@dataclass(frozen=True)
class Finding:
    """One thing that was checked."""

    checked: str  # what, in words
    faults: tuple[str, ...] = ()  # what is wrong with it; empty where it is as it should be

    @classmethod
    def of(cls, checked: str, check: Callable[[], Iterable[str]]) -> "Finding":
        """Runs a check, which gives faults; what cannot even be read is a fault, whatever the reader made of it."""
        faults: list[str] = []
        try:
            faults.extend(check())
        except InputError as error:
            faults.append(str(error))
        except DAMAGE as error:
            faults.append(f"damaged ({type(error).__name__}: {error})")
        return cls(checked, tuple(" ".join(fault.split()) for fault in faults))

    def line(self) -> str:
        """It as one line of the report."""
        if not self.faults:
            return f"ok: {self.checked}"
        more = f"; and {len(self.faults) - 3} more" if len(self.faults) > 3 else ""
        return f"WRONG: {self.checked}: {'; '.join(self.faults[:3])}{more}"
