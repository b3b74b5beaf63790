"""The ledger: SQLite, append-only, numbered migrations."""
