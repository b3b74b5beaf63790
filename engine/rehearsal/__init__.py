"""A rehearsal: R1 bar by bar on a simulated clock with the policy in the loop."""
