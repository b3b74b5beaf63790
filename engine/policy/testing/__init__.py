"""`policy test`: days of facts in short form, what a policy must make of them, and what its tests have seen."""
