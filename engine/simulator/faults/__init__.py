"""Faults on demand, by rule and by seed: what a venue, a proxy or a network does to its clients now and then."""

from __future__ import annotations

from engine.simulator.faults.kinds import KINDS
from engine.simulator.faults.model import Match, Rule
from engine.simulator.faults.plan import NONE, FaultPlan
from engine.simulator.faults.work import FaultsAtWork, Strike

__all__ = ["KINDS", "NONE", "FaultPlan", "FaultsAtWork", "Match", "Rule", "Strike"]
