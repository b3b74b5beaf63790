"""From a verdict's bounds to orders at the venue: planner, executor, stops, reconciliation, flatten, venue adapter."""
