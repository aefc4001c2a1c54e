"""The tree of errors: built alike, pickled with their data, and drawn at the top of their module."""

from __future__ import annotations

import copy
import inspect
import pickle
import re

import pytest

from polyroute import errors
from polyroute.errors import (
    AllAttemptsFailedError,
    AttemptTimeoutError,
    ConnectError,
    PolyrouteError,
    QuotaExhaustedError,
    ReadError,
    RejectedError,
    ServerError,
    StreamInterruptedError,
)
from polyroute.replies import Attempt, ChatResponse
from polyroute.types import Usage

EVERY = [getattr(errors, name) for name in errors.__all__]


@pytest.mark.parametrize("cls", EVERY)
def test_every_one_is_built_from_a_text_and_pickles_with_its_data(cls):
    data = {name: f"<{name}>" for name in cls._declared}
    error = cls("what happened", **data)

    for copied in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        assert type(copied) is cls
        assert str(copied) == "what happened"
        assert {name: getattr(copied, name) for name in data} == data


@pytest.mark.parametrize("cls", EVERY)
def test_every_one_can_be_built_from_nothing_at_all(cls):
    assert str(cls()) == ""
    assert isinstance(cls(), PolyrouteError)


def test_data_that_is_not_declared_is_a_type_error_with_the_nearest_name():
    with pytest.raises(TypeError, match="did you mean 'retry_after'"):
        ServerError("x", retry_aftr=3)


def test_the_tree_is_the_one_that_is_drawn():
    drawn = set(re.findall(r"\w+Error\b", errors.__doc__)) - {"RequestError"}
    assert drawn | {"RequestError"} >= {cls.__name__ for cls in EVERY}
    for cls in EVERY:
        assert inspect.getdoc(cls), cls


def test_what_is_transient_and_what_may_have_run_is_so_from_the_start():
    assert ServerError("x").transient
    assert not QuotaExhaustedError("x").transient
    assert ConnectError("x").transient
    assert not ConnectError("x").may_have_run
    assert ReadError("x").may_have_run
    assert AttemptTimeoutError("x").may_have_run
    assert not ServerError("x", transient=False).transient


def test_records_travel_with_an_error():
    attempts = (Attempt("a", 0, 1, ServerError("x", status=503, body={"error": "x"})),)
    error = pickle.loads(pickle.dumps(AllAttemptsFailedError("1 attempt failed", attempts=attempts)))
    assert error.attempts[0].error.status == 503
    assert pickle.loads(pickle.dumps(RejectedError("no", response=ChatResponse("x")))).response.text == "x"
    broken = StreamInterruptedError("cut", partial="Once", usage=Usage(1, 2))
    assert pickle.loads(pickle.dumps(broken)).usage == Usage(1, 2)


def test_an_applications_own_errors_may_derive_from_ours():
    class MineError(ServerError):
        colour: str = "red"

    error = MineError("x", colour="blue", status=500)
    assert (error.colour, error.status) == ("blue", 500)
    with pytest.raises(TypeError):
        MineError("x", color="blue")
