"""The policy language: read, checked, evaluated by two engines. It imports nothing of trading."""
