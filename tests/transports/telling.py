"""All that an error may tell."""

from __future__ import annotations

import pickle
import traceback


def told(error: BaseException) -> str:
    """All that an error may tell: its words, its data, those of its causes, and what stands in the
    variables of our own code's frames."""
    words = [repr(pickle.loads(pickle.dumps(error)))]
    todo, seen = [error], set()
    while todo:
        each = todo.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        words += [str(each), repr(each), repr(each.args), repr(vars(each))]
        for frame, _ in traceback.walk_tb(each.__traceback__):
            if frame.f_globals["__name__"].startswith("polyroute"):
                words += [repr(value) for value in frame.f_locals.values()]
        todo += [each.__cause__, each.__context__, *(past.error for past in getattr(each, "attempts", ()))]
    return "\n".join(words)
