"""ESPnet's base task, without the parts of ESPnet that it imports and this package does not use.

``espnet2.tasks.abs_task`` imports the plots of attention weights, which bring a text-to-speech model with numba and scipy's
statistics, and adapters, which bring the front ends of speech enhancement; and typeguard parses the source of each function
anew to check the types of its arguments. That takes longer than importing torch. Here functions that are hardly ever called
import their module when they are, and ESPnet's types are not checked. An ESPnet that has moved these parts is imported whole.
"""

import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType

HARDLY_CALLED = {
    "espnet2.main_funcs.calculate_all_attentions": "calculate_all_attentions",
    "espnet2.layers.create_adapter": "create_adapter",
}
"""Module -> the function that ESPnet's trainer or base task imports from it."""


@contextmanager
def light_imports() -> Iterator[None]:
    """Imports in the body get stand-ins for :data:`HARDLY_CALLED`; imports after it the modules themselves."""
    import typeguard

    stand_ins = {module: _stand_in(module, name) for module, name in HARDLY_CALLED.items() if module not in sys.modules}
    typechecked = typeguard.typechecked
    sys.modules.update(stand_ins)
    typeguard.typechecked = lambda target: target
    try:
        yield
    finally:
        typeguard.typechecked = typechecked
        for module in stand_ins:
            del sys.modules[module]


def _stand_in(module: str, name: str) -> ModuleType:
    def call(*args, **kwargs):
        function: Callable = getattr(importlib.import_module(module), name)
        return function(*args, **kwargs)

    stand_in = ModuleType(module)
    setattr(stand_in, name, call)
    return stand_in


try:
    with light_imports():
        from espnet2.tasks.abs_task import AbsTask, optim_classes, scheduler_classes
except Exception:  # whatever comes of a stand-in in which another ESPnet looks for more
    from espnet2.tasks.abs_task import AbsTask, optim_classes, scheduler_classes

__all__ = ["AbsTask", "optim_classes", "scheduler_classes"]
