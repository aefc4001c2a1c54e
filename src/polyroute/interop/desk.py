"""From an OpenAI request to a call of the router's, and from its outcome to a response; no I/O."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from math import inf
from typing import Any, TypeAlias

from pydantic_core import from_json

from polyroute.errors import BadRequestError, PolyrouteError
from polyroute.interop.chunks import Telling
from polyroute.interop.failures import FINAL, error_json, retry_after, status_of
from polyroute.interop.models import Models, Named
from polyroute.interop.replies import completion, embeddings
from polyroute.interop.requests import Call, ChatCall, EmbedCall, read_chat, read_embed
from polyroute.interop.response_events import ResponseTelling, response
from polyroute.interop.response_requests import ResponseCall, read_response
from polyroute.providers.json_bodies import dump
from polyroute.replies import ChatResponse, EmbedResponse
from polyroute.settings import Timeout

__all__ = ["Answer", "Asked", "Desk"]

_CHAT, _RESPONSE, _EMBED, _MODELS = "/v1/chat/completions", "/v1/responses", "/v1/embeddings", "/v1/models"
_SERVED = (f"POST {_CHAT}", f"POST {_RESPONSE}", f"POST {_EMBED}", f"GET {_MODELS}", f"GET {_MODELS}/{{id}}")
_JSON = (b"content-type", b"application/json")
_EVENTS = (b"content-type", b"text/event-stream; charset=utf-8")

Headers: TypeAlias = list[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Answer:
    """One whole response."""

    status: int
    headers: Headers
    body: bytes


@dataclass(frozen=True, slots=True)
class Asked:
    """A *call* of the router's that a request asks for, and the *name* under which it asks for a model."""

    call: Call
    name: str


class Desk:
    """Takes requests and writes responses. *plan* gives the router's as it stands now."""

    def __init__(self, plan: Callable[[], Named]) -> None:
        self._plan = plan
        self._models = Models(plan())

    def read(self, method: str, path: str, body: bytes, timeout: Mapping[str, Any] | None) -> Asked | Answer:
        """What a request asks of the router, or the answer where the router need not be asked.

        Raises:
            RequestError: It is malformed, or asks for a model that is not here.
        """
        if method == "POST" and path == _CHAT:
            return self._asked(read_chat(_object(body)), timeout)
        if method == "POST" and path == _RESPONSE:
            return self._asked(read_response(_object(body)), timeout)
        if method == "POST" and path == _EMBED:
            return self._asked(read_embed(_object(body)), timeout)
        if method == "GET" and path == _MODELS:
            return Answer(200, [_JSON], dump(self._known().listed()))
        if method == "GET" and path.startswith(f"{_MODELS}/"):
            name = path.removeprefix(f"{_MODELS}/")
            return Answer(200, [_JSON], dump(self._known().retrieved(name)))
        return _unserved(method, path)

    def completed(self, asked: Asked, reply: ChatResponse[Any]) -> Answer:
        call = asked.call
        if isinstance(call, ResponseCall):
            return Answer(200, [_JSON, *_how(reply)], response(reply, asked.name, call.echo))
        return Answer(200, [_JSON, *_how(reply)], completion(reply, asked.name))

    def embedded(self, asked: Asked, reply: EmbedResponse) -> Answer:
        base64 = isinstance(asked.call, EmbedCall) and asked.call.base64
        return Answer(200, [_JSON, *_how(reply)], embeddings(reply, asked.name, base64=base64))

    def begun(self, ids: Sequence[str]) -> Headers:
        """The headers of a stream for which the deployments called *ids* were asked, the last of which
        answers. What it costs is not known yet."""
        return [_EVENTS, *_told(ids[-1] if ids else None, len(ids), None)]

    def telling(self, asked: Asked) -> Telling | ResponseTelling:
        if isinstance(asked.call, ResponseCall):
            return ResponseTelling(asked.name, asked.call.echo)
        usage = isinstance(asked.call, ChatCall) and asked.call.include_usage
        return Telling(asked.name, include_usage=usage)

    def failed(self, error: PolyrouteError) -> Answer:
        headers: Headers = [_JSON, FINAL]
        if (seconds := retry_after(error)) is not None:
            headers.append((b"retry-after", seconds.encode()))
        if attempts := getattr(error, "attempts", ()):
            headers += _told(attempts[-1].deployment, len(attempts), None)
        return Answer(status_of(error), headers, dump({"error": error_json(error)}))

    def _known(self) -> Models:
        plan = self._plan()
        if plan is not self._models.plan:
            self._models = Models(plan)
        return self._models

    def _asked(self, call: Call, timeout: Mapping[str, Any] | None) -> Asked:
        models, arguments = self._known(), call.arguments
        name = arguments.get("model")
        asked = _names(name)
        if asked is not None:
            asked = tuple(map(models.resolved, asked)) if isinstance(asked, tuple) else models.resolved(asked)
            arguments["model"] = asked
        if call.bound_by is not None:
            arguments["tags"] = models.speaking(call.format, call.bound_by)
        seconds = (timeout or {}).get("read")
        # The client may be less patient than the router, and never more. Between the tokens of a
        # stream, which is all that a client limits there, the router has limits of its own.
        if seconds is not None and not call.streams:
            total = models.total(asked)
            if seconds < (inf if total is None else total):
                arguments["timeout"] = Timeout(total=seconds)
        return Asked(call, name if isinstance(name, str) else "")


def _names(model: object) -> str | tuple[str, ...] | None:
    """The name, or the names, of the model that is asked for."""
    if model is None or (isinstance(model, str) and model):
        return model
    if isinstance(model, list) and model and all(isinstance(name, str) and name for name in model):
        return tuple(model)
    raise BadRequestError(f"model is a name or a list of names, not {model!r}", path="model")


def _object(body: bytes) -> dict[str, Any]:
    try:
        value = from_json(body)
    except ValueError as exc:
        raise BadRequestError(f"the body is no JSON: {exc}") from None
    if not isinstance(value, dict):
        raise BadRequestError(f"the body is a JSON object, not a {type(value).__name__}")
    return value


def _how(reply: ChatResponse[Any] | EmbedResponse) -> Headers:
    """How a reply came about."""
    return _told(reply.deployment, len(reply.trace.attempts), reply.cost)


def _told(deployment: str | None, attempts: int, cost: Decimal | None) -> Headers:
    headers = [(b"x-polyroute-attempts", str(attempts).encode())]
    if deployment is not None:
        headers.append((b"x-polyroute-deployment", deployment.encode()))
    if cost is not None:
        headers.append((b"x-polyroute-cost", f"{cost:f}".encode()))
    return headers


def _unserved(method: str, path: str) -> Answer:
    error = {
        "message": f"{method} {path} is not served; these are: {', '.join(_SERVED)}",
        "type": "invalid_request_error",
        "param": None,
        "code": "unknown_url",
    }
    return Answer(404, [_JSON, FINAL], dump({"error": error}))
