"""Prices to positions, fills to a ledger, metrics to facts, facts to a verdict that bounds the next orders."""
