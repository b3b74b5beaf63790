"""`policy diff`: what differs between two models in words, and whether it is softer or harder."""
