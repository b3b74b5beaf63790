"""The recorded period replayed on the same bars, and held against what the ledger says happened (SOP §7, §8)."""
