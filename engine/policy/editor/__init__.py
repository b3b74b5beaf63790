"""`policy schema`: JSON Schemas and settings for editors."""
