"""Incidents (SOP §5, §6): opened by what demands them, led through their steps, written up, closed; and the restart.

Everything stands in the ledger's events; files are exports, but for the front matter of a post-mortem, which a person
fills in and which is recorded when it is read.
"""
