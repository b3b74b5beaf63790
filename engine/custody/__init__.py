"""The ledger as a file that people keep: copied while it is written, put back, taken over from elsewhere."""
