"""Replies and decisions as plain data, for `--json`."""

from __future__ import annotations

from dataclasses import asdict
from decimal import Decimal
from typing import Any

from polyroute import Attempt, ChatResponse, Decision, PolyrouteError, Usage

__all__ = ["decision_record", "reply_record"]


def reply_record(reply: ChatResponse[Any]) -> dict[str, Any]:
    """A reply with its cost and its trace."""
    return {
        "text": reply.text,
        "refusal": reply.refusal,
        "finish_reason": reply.finish_reason,
        "model": reply.model,
        "deployment": reply.deployment,
        "provider": reply.provider,
        "usage": asdict(reply.usage),
        "cost": _number(reply.cost),
        "cost_estimated": reply.cost_estimated,
        "trace": {
            "attempts": [_attempt(attempt) for attempt in reply.trace.attempts],
            "decision": decision_record(reply.trace.decision),
        },
    }


def decision_record(decision: Decision) -> dict[str, Any]:
    """Who would serve, in order, and who is left out and why."""
    return {
        "ranking": [asdict(ranked) for ranked in decision.ranking],
        "excluded": [asdict(exclusion) for exclusion in decision.excluded],
    }


def _attempt(attempt: Attempt) -> dict[str, Any]:
    return {
        "deployment": attempt.deployment,
        "kind": attempt.kind,
        "reason": attempt.reason,
        "seconds": round(attempt.latency, 6),
        "seconds_to_first_token": None if attempt.ttft is None else round(attempt.ttft, 6),
        "usage": _usage(attempt.usage),
        "cost": _number(attempt.cost),
        "error": _error(attempt.error),
    }


def _usage(usage: Usage | None) -> dict[str, Any] | None:
    return None if usage is None else asdict(usage)


def _error(error: PolyrouteError | None) -> dict[str, str] | None:
    return None if error is None else {"type": type(error).__name__, "text": str(error)}


def _number(dollars: Decimal | None) -> float | None:
    return None if dollars is None else float(dollars)
