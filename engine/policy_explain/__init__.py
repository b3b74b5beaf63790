"""`policy explain`: a verdict, facts, or an id, down to the last condition and up to the reason.

- `accounts`: what a policy makes of a recorded verdict, of facts in a file, or of what a ledger knows now
- `subjects`: what an id stands for: a rule, a fact, or a requirement
- `text`: both in the terminal
"""
