"""The desk as it runs: bars become verdicts and orders; on paper, with real money, and in rehearsals of that path."""
