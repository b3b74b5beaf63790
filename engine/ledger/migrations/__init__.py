"""The ledger's schema as numbered steps, applied in order and never edited once released."""
