"""Stages of the rollout (SOP §2): since when, on what known, decided how, where it leads, and how it is told."""
