"""Alerts: queued in the ledger by whoever has something to say, delivered by one outbox, noted once."""
