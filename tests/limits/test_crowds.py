"""Two thousand calls at once: never above the limit in any minute, and next to nothing of it left unused."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import accumulate, count
from math import inf
from random import Random

import pytest

from polyroute import Lease, Limits, Refusal, Usage
from tests.limits.driving import Desk


@dataclass
class Asked:
    at: float
    usage: Usage


def crowd(desk: Desk, calls: list[tuple[Usage, Usage, float]]) -> list[Asked]:
    """When each of these calls (an estimate, the truth, how long it takes) is let through: they all come
    at once and go in turn, the first as soon as a lease is settled or its time has passed."""
    let_through: list[Asked] = []
    under_way: list[tuple[float, int, Lease, Usage]] = []
    numbers = count()
    for estimate, truth, lasts in calls:
        while isinstance(answer := desk.ask(estimate.input_tokens, estimate.output_tokens), Refusal):
            assert answer.retry_after is not None
            again = desk.clock.now + answer.retry_after
            settles = under_way[0][0] if under_way else inf
            assert min(again, settles) < inf, "it would wait for ever"
            desk.clock.now = min(again, settles)
            while under_way and under_way[0][0] <= desk.clock.now:
                _, _, lease, used = heappop(under_way)
                lease.settle(used)
        let_through.append(Asked(desk.clock.now, truth))
        heappush(under_way, (desk.clock.now + lasts, next(numbers), answer, truth))
    for _, _, lease, used in under_way:
        lease.settle(used)
    return let_through


def most_in_a_minute(let_through: list[Asked], amounts: list[int]) -> int:
    """The most in any sixty seconds, whenever they begin: the fullest begins with a call."""
    moments = [each.at for each in let_through]
    sums = [0, *accumulate(amounts)]
    ends = [bisect_left(moments, moment + 60.0) for moment in moments]
    return max(sums[end] - sums[begin] for begin, end in enumerate(ends))


def calls(rng: Random, number: int, *, input: int, output: int) -> list[tuple[Usage, Usage, float]]:
    made = []
    for _ in range(number):
        prompt, longest = rng.randint(1, input), rng.randint(1, output)
        made.append((Usage(prompt, longest), Usage(prompt, rng.randint(0, longest)), rng.uniform(0.2, 8)))
    return made


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("limits", "input", "output"),
    [
        pytest.param(Limits(rpm=600, tpm=100_000), 100, 100, id="requests are scarcest"),
        pytest.param(Limits(rpm=600, tpm=100_000), 300, 600, id="tokens are scarcest"),
        pytest.param(Limits(rpm=600, tpm=100_000, concurrency=30), 200, 300, id="a few at a time"),
    ],
)
def test_two_thousand_at_once_keep_to_every_limit_and_use_it_up(seed, limits, input, output):
    desk = Desk(limits)
    let_through = crowd(desk, calls(Random(seed), 2_000, input=input, output=output))

    requests = [1] * len(let_through)
    tokens = [each.usage.total_tokens for each in let_through]
    assert most_in_a_minute(let_through, requests) <= limits.rpm
    assert most_in_a_minute(let_through, tokens) <= limits.tpm
    assert desk.limiter.idle

    minutes = int(let_through[-1].at // 60)
    done = bisect_left([each.at for each in let_through], minutes * 60.0)
    assert minutes >= 2
    shares = (done / (limits.rpm * minutes), sum(tokens[:done]) / (limits.tpm * minutes))
    assert limits.concurrency or max(shares) >= 0.98


def test_a_steady_stream_uses_the_limit_up_too():
    """Calls come a little faster than they may: what shares a bucket costs next to nothing."""
    desk = Desk(Limits(rpm=600))
    let_through = 0
    for _ in range(60 * 60 * 10 * 2):
        desk.wait(0.05)
        if not isinstance(lease := desk.ask(), Refusal):
            lease.settle(Usage())
            let_through += 1
    assert 0.98 * 600 * 120 / 2 <= let_through <= 600 * 61
