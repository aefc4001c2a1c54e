"""Prices to money. Inside, money is whole nano-dollars; at the edges it is `Decimal` dollars."""

from __future__ import annotations

from decimal import Decimal

from polyroute.settings import Price
from polyroute.types import Usage

__all__ = ["dollars", "nanodollars"]


def nanodollars(price: Price, usage: Usage) -> int:
    """What *usage* costs at *price*, in whole nano-dollars, rounded up.

    The cached and the written part are inside `input_tokens`, so each prompt token is priced once.
    """
    cached = usage.cached_input_tokens or 0
    written = usage.cache_write_tokens or 0
    input_rate, output_rate, cached_rate, write_rate = price.rates
    picodollars = (
        max(usage.input_tokens - cached - written, 0) * input_rate
        + cached * cached_rate
        + written * write_rate
        + usage.output_tokens * output_rate
    )
    return -(-picodollars // 1_000)


def dollars(nanos: int) -> Decimal:
    """Whole nano-dollars as dollars."""
    return Decimal(nanos).scaleb(-9)
