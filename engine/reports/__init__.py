"""Reports: numbers from the ledger to Markdown, HTML with plots, and JSON."""
