"""`dataclass` of the standard library, made in a tenth of the time: nftui has over two hundred, and every verb waits.

The standard one writes and compiles six methods for each class. Here fields, defaults, inheritance and slots are still
its own work; only `__init__`, which must be quick, is compiled, and that with the first object: most classes have none
in most verbs. The other methods are shared. What nftui does not use is refused or left out: keyword-only fields,
`order`, `InitVar`. Type checkers see the standard one.
"""

from __future__ import annotations

import dataclasses
from dataclasses import MISSING, Field, FrozenInstanceError
from operator import attrgetter
from reprlib import recursive_repr
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from dataclasses import dataclass
else:

    def dataclass(cls=None, /, *, frozen=False, slots=False):
        """A class of fields, equal by value; `frozen` ones also hash by value and refuse to be changed."""

        def make(cls):
            return _make(cls, frozen, slots)

        return make if cls is None else make(cls)


def _make(cls: type, frozen: bool, slots: bool) -> type:
    written = {name for name, value in vars(cls).items() if value is not None or name != "__hash__"}
    cls.__doc__ = cls.__doc__ or cls.__name__  # else the standard one spells out the signature
    made: type = dataclasses.dataclass(init=False, repr=False, eq=False, slots=slots)(cls)
    fields = dataclasses.fields(made)
    methods = {"__init__": _init_later(made, fields, frozen), "__repr__": _repr(fields), **_by_value(fields, frozen)}
    for name, method in methods.items():
        if name not in written:
            setattr(made, name, method)
    return made


def _init_later(made: Any, fields: Sequence[Field[Any]], frozen: bool) -> Callable[..., None]:
    """Makes way for the compiled one when it is called."""
    if odd := [field.name for field in fields if field.kw_only]:
        raise TypeError(f"{made.__name__}.{odd[0]}: keyword-only fields are not supported")

    def __init__(self: object, *args: object, **named: object) -> None:
        compiled = _init(made, fields, frozen)
        made.__init__ = compiled
        compiled(self, *args, **named)

    return __init__


def _init(made: type, fields: Sequence[Field[Any]], frozen: bool) -> Callable[..., None]:
    """Compiled, as in the standard library: objects are made by the thousand."""
    names: dict[str, object] = {"_put": object.__setattr__, "_none": MISSING}
    parameters, lines = ["self"], []
    for field in fields:
        parameter, value = _parts(field, names)
        parameters += parameter
        lines += [f" _put(self, {field.name!r}, {v})" if frozen else f" self.{field.name} = {v}" for v in value]
    if hasattr(made, "__post_init__"):
        lines.append(" self.__post_init__()")
    exec("\n".join([f"def __init__({', '.join(parameters)}):", *(lines or [" pass"])]), names)  # noqa: S102 - the names of fields alone
    init: Any = names["__init__"]
    init.__qualname__, init.__module__ = f"{made.__qualname__}.__init__", made.__module__
    return init  # type: ignore[no-any-return]


def _parts(field: Field[Any], names: dict[str, object]) -> tuple[list[str], list[str]]:
    """The parameter of a field, if it has one, and the value to store, if there is one."""
    name, default = field.name, f"_default_{field.name}"
    if field.default_factory is not MISSING:
        names[default] = field.default_factory
        made = f"{default}()"
        return ([f"{name}=_none"], [f"{made} if {name} is _none else {name}"]) if field.init else ([], [made])
    if field.default is not MISSING:
        names[default] = field.default
        return ([f"{name}={default}"], [name]) if field.init else ([], [default])
    return ([name], [name]) if field.init else ([], [])


def _repr(fields: Sequence[Field[Any]]) -> Callable[[object], str]:
    shown = [field.name for field in fields if field.repr]

    def __repr__(self: object) -> str:
        return f"{type(self).__qualname__}({', '.join(f'{name}={getattr(self, name)!r}' for name in shown)})"

    return recursive_repr("...")(__repr__)


def _by_value(fields: Sequence[Field[Any]], frozen: bool) -> dict[str, object]:
    values = _values([field.name for field in fields if field.compare])
    hashed = _values([field.name for field in fields if (field.compare if field.hash is None else field.hash)])

    def __eq__(self: object, other: object) -> bool:
        return values(self) == values(other) if other.__class__ is self.__class__ else NotImplemented

    def __hash__(self: object) -> int:
        return hash(hashed(self))

    return {"__eq__": __eq__, **(_FROZEN | {"__hash__": __hash__} if frozen else {"__hash__": None})}


def _values(names: Sequence[str]) -> Callable[[object], tuple[object, ...]]:
    """Reads these fields of an object; `attrgetter` gives a tuple for two names and more."""
    if len(names) > 1:
        return attrgetter(*names)
    return lambda self: tuple(getattr(self, name) for name in names)


def _refuse_change(self: object, name: str, value: object) -> None:
    raise FrozenInstanceError(f"cannot assign to field {name!r}")


def _refuse_removal(self: object, name: str) -> None:
    raise FrozenInstanceError(f"cannot delete field {name!r}")


_FROZEN = {"__setattr__": _refuse_change, "__delattr__": _refuse_removal}

__all__ = ["dataclass"]
