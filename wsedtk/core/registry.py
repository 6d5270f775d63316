"""Find objects, such as networks, by their registered name or as `package.module:Object`."""

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterable
from types import ModuleType
from typing import Generic, TypeVar

from wsedtk.core.config import suggest
from wsedtk.core.errors import InputError

T = TypeVar("T")


def check_options(
    found: Callable[..., object], options: Iterable[str], where: str, setting: str = ""
) -> None:
    """Check that a class or function takes some options.

    Parameters
    ----------
    found : callable
        Its first parameter is not an option.
    options : iterable of str
        The names of the options.
    where : str
        The beginning of the message.
    setting : str
        The setting that contains the options, for the message.

    Raises
    ------
    InputError
        If an option is unknown. The message names similar options, or the known ones.
    """
    parameters = list(inspect.signature(found).parameters.values())[1:]
    if any(one.kind is inspect.Parameter.VAR_KEYWORD for one in parameters):
        return
    known = [one.name for one in parameters]
    for option in options:
        if option not in known:
            of = f" ({setting})" if setting else ""
            near = suggest(option, known) if known else "it has no options"
            raise InputError(f"{where}: has no option {option!r}{of}; {near}")


class Registry(Generic[T]):
    """A registry of objects of one kind, such as networks or poolings.

    The module that defines a built-in object registers this object under a name. A user-defined
    object needs no registration. It is found as `package.module:Object`.

    Parameters
    ----------
    kind : str
        The word for one object in messages, such as "pooling".
    modules : str
        The module that defines the built-in objects, or a package whose modules define them. The
        module, or each module of the package, is imported when `names` is first called, or when
        `get` is first called for a built-in object.

    Examples
    --------
    >>> NETWORKS: Registry[type[Network]] = Registry("network", "wsedtk.models.networks")
    >>> @NETWORKS.register("talnet")
    ... class TalNet(Network): ...
    >>> NETWORKS.get("talnet")
    >>> NETWORKS.get("my_package.my_module:MyNetwork")
    """

    def __init__(self, kind: str, modules: str) -> None:
        self.kind = kind
        self._modules = modules
        self._objects: dict[str, T] = {}

    def register(self, name: str) -> Callable[[T], T]:
        """Return a decorator that registers an object under a name.

        Raises
        ------
        ValueError
            If another object is registered under this name. The decorator raises this error.
        """

        def add(item: T) -> T:
            if name in self._objects:
                raise ValueError(f"two objects are registered as {self.kind} {name!r}")
            self._objects[name] = item
            return item

        return add

    def names(self) -> tuple[str, ...]:
        """Return the names of the built-in objects.

        If one module defines them, they are in the order of their registration. If the modules of a
        package define them, they are sorted, because modules can be imported in any order.
        """
        package = self._import_modules()
        return tuple(sorted(self._objects) if hasattr(package, "__path__") else self._objects)

    def get(self, name: str) -> T:
        """Return the built-in object with the given name, or the object `package.module:Object`.

        This method does not check the kind of a user-defined object.

        Raises
        ------
        InputError
            If the name is unknown, if the module can't be imported, or if the module does not
            contain the object.
        """
        if ":" in name:
            return self._own(name)
        self._import_modules()
        if name not in self._objects:
            raise InputError(
                f"unknown {self.kind} {name!r}; {suggest(name, self._objects)} "
                "(or give package.module:Object for a user-defined object)"
            )
        return self._objects[name]

    def _own(self, name: str) -> T:
        module_name, _, attribute = name.partition(":")
        try:
            found: T = getattr(importlib.import_module(module_name), attribute)
        except (Exception, SystemExit) as error:  # a user's module may raise any exception
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise InputError(f"{self.kind} {name!r}: {reason}") from error
        return found

    def _import_modules(self) -> ModuleType:
        """Import the modules with the built-in objects, and return the module or the package."""
        package = importlib.import_module(self._modules)
        for module in pkgutil.iter_modules(getattr(package, "__path__", ())):
            importlib.import_module(f"{self._modules}.{module.name}")
        return package
