"""This request, for this deployment: its defaults filled in, and only the parts it understands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeVar

from polyroute._engine.eligible import body_of, lacks_of
from polyroute._engine.plan import Plan, Seat
from polyroute.capabilities import wanted
from polyroute.types import ChatRequest, EmbedRequest, Message, Opaque, amended

__all__ = ["adapt"]

R = TypeVar("R", ChatRequest, EmbedRequest)


def adapt(
    request: R, seat: Seat, plan: Plan, learnt: Mapping[str, frozenset[str]]
) -> tuple[R, tuple[str, ...]]:
    """The request as *seat*'s deployment gets it, and the names of the arguments it drops.

    Always made from the caller's own request, which never changes. *learnt* is as in `eligible`.
    """
    changes: dict[str, Any] = {
        name: value
        for name, value in seat.defaults.items()
        if name != "extra" and getattr(request, name, value) is None
    }
    default_extra = seat.defaults.get("extra")
    if request.extra is not None or default_extra is not None:
        changes["extra"] = _extra(request.extra or {}, default_extra or {}, seat, plan)
    if isinstance(request, ChatRequest):
        messages = _understood(request.messages, seat)
        if messages is not request.messages:
            changes["messages"] = messages
    adapted: R = amended(request, **changes) if changes else request
    if not seat.deployment.may_drop:
        return adapted, ()
    missing = [
        *(seat.cannot(adapted) if seat.cannot is not None else ()),
        *wanted(adapted, lacks_of(seat, learnt)),
    ]
    dropped = tuple(name for name in dict.fromkeys(missing) if name in seat.deployment.may_drop)
    nothing: dict[str, Any] = dict.fromkeys(dropped)
    return amended(adapted, **nothing), dropped


def _extra(
    given: Mapping[str, Any], default: Mapping[str, Any], seat: Seat, plan: Plan
) -> dict[str, Any] | None:
    """What goes into this provider's body: the defaults, the common part, and what names its prefix."""
    own = given.get(seat.deployment.prefix)
    keyed = own if isinstance(own, Mapping) else {}
    return {**default, **body_of(given, plan.prefixes), **keyed} or None


def _understood(messages: tuple[Message, ...], seat: Seat) -> tuple[Message, ...]:
    """The messages without the opaque parts that *seat*'s provider has no words for; the same tuple where
    there are none."""
    for message in messages:
        if type(message.content) is not str and _kept(message, seat) is not message:
            return tuple(_kept(each, seat) for each in messages)
    return messages


def _kept(message: Message, seat: Seat) -> Message:
    content = message.content
    if isinstance(content, str):
        return message
    parts = tuple([part for part in content if not isinstance(part, Opaque) or _understands(seat, part)])
    return message if len(parts) == len(content) else replace(message, content=parts)


def _understands(seat: Seat, opaque: Opaque) -> bool:
    if opaque.origin == seat.provider.name:
        return True
    return seat.understands is not None and seat.understands(opaque)
