"""The strategies of R1: pure functions from bars to a position in [-1, 1]. They know no exchange, file or clock."""
