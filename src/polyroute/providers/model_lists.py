"""The models that a host lists, as it lists them."""

from __future__ import annotations

from polyroute.providers.hosts import ModelList
from polyroute.providers.json_bodies import load, malformed, promised_object

__all__ = ["names_in"]


def names_in(body: bytes, listed: ModelList) -> list[str]:
    """The names in *body*, without what stands before each.

    Raises:
        ResponseDecodeError: It is no such list.
    """
    value = load(body)
    # Some hosts give the list itself, without an object around it.
    items = value if isinstance(value, list) else promised_object(value).get(listed.items)
    if not isinstance(items, list):
        raise malformed("it lists no models", body)
    names = [promised_object(each).get(listed.name) for each in items]
    return [name.removeprefix(listed.prefix) for name in names if isinstance(name, str)]
