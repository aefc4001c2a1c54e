"""What applications test with: a provider that answers from a script, in any clock's time; a simulated
fleet; and what providers of one's own are tried with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from polyroute.testing.checks import Refused, check_provider
from polyroute.testing.fake import FakeProvider

if TYPE_CHECKING:
    from polyroute.testing.simulation.chance import LogNormal, Poisson
    from polyroute.testing.simulation.faults import (
        BlackHole,
        BrownOut,
        Conditions,
        CutStreams,
        Fault,
        Outage,
        RateLimited,
        SlowSpell,
        SlowStart,
        random_faults,
    )
    from polyroute.testing.simulation.hosts import SimulatedHost
    from polyroute.testing.simulation.report import HostReport, Percentiles, SimulationReport
    from polyroute.testing.simulation.simulate import RouterFactory, simulate

__all__ = [
    "BlackHole",
    "BrownOut",
    "Conditions",
    "CutStreams",
    "FakeProvider",
    "Fault",
    "HostReport",
    "LogNormal",
    "Outage",
    "Percentiles",
    "Poisson",
    "RateLimited",
    "Refused",
    "RouterFactory",
    "SimulatedHost",
    "SimulationReport",
    "SlowSpell",
    "SlowStart",
    "check_provider",
    "random_faults",
    "simulate",
]

# Tests that only script a provider do not pay for the fleet.
_HOMES = {
    "chance": "LogNormal Poisson",
    "faults": "BlackHole BrownOut Conditions CutStreams Fault Outage RateLimited SlowSpell SlowStart random_faults",
    "hosts": "SimulatedHost",
    "report": "HostReport Percentiles SimulationReport",
    "simulate": "RouterFactory simulate",
}
_MODULES = {name: module for module, names in _HOMES.items() for name in names.split()}


def __getattr__(name: str) -> object:
    module = _MODULES.get(name)
    if module is None:
        raise AttributeError(f"polyroute.testing has no {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"polyroute.testing.simulation.{module}"), name)
    globals()[name] = value
    return value
