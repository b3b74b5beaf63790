"""The runner: each bar's work at its close, on paper or with real money, and what never waits for a bar."""
