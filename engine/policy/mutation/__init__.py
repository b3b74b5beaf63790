"""`policy mutate`: every decision of a policy changed alone, and what would notice."""
