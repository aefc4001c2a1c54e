"""Shows where the router's own work goes: the time of each file and function in one call over FakeProvider.

    python benchmarks/hotspots.py

The profiler makes calls of functions dear, so its shares are laid over the time that a call takes
without it. A built-in's time counts as its caller's.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from statistics import median
from types import CodeType

from clients import RouterAlone
from cores import pin

_REPEATS = 9
_MOST = 30  # functions that are shown

Call = Callable[[], Awaitable[object]]


async def profile(calls: int) -> None:
    call = RouterAlone([]).chat
    await _timed(call, calls)
    whole = median([await _timed(call, calls) for _ in range(_REPEATS)])
    profiler = cProfile.Profile()
    profiler.enable()
    profiled = await _timed(call, calls)
    profiler.disable()
    print(f"{whole:.1f} µs of CPU a call; under the profiler {profiled:.1f} µs.\n")
    functions, files = _times(profiler.getstats())
    taken = files.total()
    _show("file", files.most_common(), taken, whole)
    _show("function", functions.most_common(_MOST), taken, whole)


async def _timed(call: Call, calls: int) -> float:
    began = time.process_time()
    for _ in range(calls):
        await call()
    return (time.process_time() - began) / calls * 1e6


def _times(entries: Iterable[cProfile.profiler_entry]) -> tuple[Counter[str], Counter[str]]:
    """Seconds by function and by file."""
    functions: Counter[str] = Counter()
    files: Counter[str] = Counter()
    classes = _classes_by_init()
    for entry in entries:
        if not isinstance(entry.code, CodeType):
            continue  # A built-in, which is counted with its caller.
        own = entry.inlinetime + sum(
            called.inlinetime for called in entry.calls or () if not isinstance(called.code, CodeType)
        )
        file, function = _place(entry.code, classes)
        functions[f"{file}: {function}"] += own
        files[file] += own
    return functions, files


def _place(code: CodeType, classes: dict[CodeType, type]) -> tuple[str, str]:
    """The file and the name of a function; of one that a dataclass made, those of its class."""
    cls = classes.get(code)
    if cls is not None:
        return _short(sys.modules[cls.__module__].__file__ or ""), f"{cls.__name__}(…)"
    return _short(code.co_filename), code.co_qualname


def _classes_by_init() -> dict[CodeType, type]:
    return {
        value.__init__.__code__: value
        for name, module in list(sys.modules.items())
        if name.partition(".")[0] == "polyroute"
        for value in vars(module).values()
        if isinstance(value, type) and isinstance(getattr(value.__init__, "__code__", None), CodeType)
    }


def _short(file: str) -> str:
    """The part of a path that a reader knows it by."""
    parts = Path(file).parts
    for root in ("polyroute", "anyio", "sniffio", "asyncio", "benchmarks"):
        if root in parts[:-1]:
            return "/".join(parts[len(parts) - 1 - parts[::-1].index(root) :])
    return parts[-1]


def _show(what: str, times: Sequence[tuple[str, float]], taken: float, whole: float) -> None:
    print(f"   µs  share  {what}")
    for name, seconds in times:
        print(f"{seconds / taken * whole:5.1f}  {seconds / taken:5.1%}  {name}")
    print()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--calls", type=int, default=5_000)
    pin("client")
    asyncio.run(profile(parser.parse_args().calls))


if __name__ == "__main__":
    main()
