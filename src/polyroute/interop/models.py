"""The names that a program may ask for, and how `/v1/models` lists them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from polyroute.deployments import Deployment, Route
from polyroute.errors import UnknownModelError, UnsupportedParameterError
from polyroute.settings import Timeout

__all__ = ["Bounded", "Models", "Named"]


class Bounded(Protocol):
    @property
    def timeout(self) -> Timeout: ...


class Named(Protocol):
    """What is seen here of a router's plan."""

    @property
    def deployments(self) -> Sequence[Deployment]: ...
    @property
    def routes(self) -> Mapping[str, Route]: ...
    def target(self, model: str | tuple[str, ...] | None, *, fallbacks: bool) -> Bounded: ...


class Models:
    """The names of one plan.

    A program that was written for OpenAI asks for `gpt-5-mini`. That is not a name of the router's,
    but where all of its deployments of that name are of one provider, only one can be meant. Where
    they are of several it is not ours to say which one gets the prompt.
    """

    def __init__(self, plan: Named) -> None:
        self.plan: Named = plan
        self._bare: dict[str, list[str]] = {}
        for each in plan.deployments:
            if not each.is_pattern:
                models = self._bare.setdefault(each.name, [])
                models += [each.model] if each.model not in models else []
        for name in (*plan.routes, *(each.id or "" for each in plan.deployments)):
            self._bare.pop(name, None)
        self._formats = {each.prefix: getattr(each.provider, "format", "") for each in plan.deployments}

    def resolved(self, name: str) -> str:
        """What a call that asks for *name* asks of the router.

        Raises:
            UnknownModelError: The models of several providers go by that name.
        """
        models = self._bare.get(name, ())
        if len(models) > 1:
            listed = " or ".join(map(repr, models))
            raise UnknownModelError(
                f"{name!r} is a model of several providers here: ask for {listed}, or give the router a "
                "route of that name",
                model=name,
                nearest=tuple(models),
            )
        return models[0] if models else name

    def speaking(self, format: str, field: str) -> tuple[str, ...]:
        """The tags that leave out whoever does not speak the wire format called *format*.

        Raises:
            UnsupportedParameterError: Nobody here speaks it, and *field* is a word of it.
        """
        others = [prefix for prefix, spoken in self._formats.items() if spoken not in ("", format)]
        if len(others) == len(self._formats):
            raise UnsupportedParameterError(
                f"{field} is understood by hosts that speak {format} alone, and there is none here",
                parameter=field,
            )
        return tuple(f"!provider:{prefix}" for prefix in others)

    def total(self, name: str | tuple[str, ...] | None) -> float | None:
        """The seconds that a call of *name* may take in all; None: as long as it likes.

        Raises:
            UnknownModelError: Nothing here goes by that name.
        """
        return self.plan.target(name, fallbacks=True).timeout.total

    def listed(self) -> dict[str, Any]:
        """Every name that can be asked for as it stands: routes first."""
        data = [_model(name, "polyroute") for name in self.plan.routes]
        data += [
            _model(each.id or each.model, each.prefix)
            for each in self.plan.deployments
            if not each.is_pattern
        ]  # fmt: skip
        return {"object": "list", "data": data}

    def retrieved(self, name: str) -> dict[str, Any]:
        """The one model of that *name*.

        Raises:
            UnknownModelError: Nothing here goes by that name.
        """
        asked = self.resolved(name)
        self.plan.target(asked, fallbacks=False)
        owner = next((each.prefix for each in self.plan.deployments if asked in (each.id, each.model)), None)
        if owner is None:
            owner = "polyroute" if asked in self.plan.routes else asked.partition("/")[0]
        return _model(name, owner)


def _model(id: str, owner: str) -> dict[str, Any]:
    return {"id": id, "object": "model", "created": 0, "owned_by": owner}
