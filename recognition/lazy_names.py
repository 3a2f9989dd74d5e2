"""Names of a package that are loaded when they are first used, so that it is imported quickly."""

import sys
from collections.abc import Callable, Mapping
from importlib import import_module

HIDDEN = {"TYPE_CHECKING", "_HOME", "load_on_use"}


def load_on_use(
    package: str, home: Mapping[str, str]
) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """The `__getattr__` and `__dir__` of a package.

    A name must not be that of a module in the package, which would take its place when imported.

    Args:
        package: its full name.
        home: for each public name the module below the package that has it.
    """

    def load(name: str) -> object:
        if name not in home:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(f"{package}.{home[name]}"), name)

    def listed() -> list[str]:
        return sorted({*vars(sys.modules[package]), *home} - HIDDEN)

    return load, listed
