"""Prices and funding: read, downloaded, stored, checked, and a seeded synthetic market."""
