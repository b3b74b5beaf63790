"""The risk guard: a process of its own that marks the equity, decides and enforces (A72)."""
