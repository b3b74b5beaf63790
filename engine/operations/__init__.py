"""What people do with a running desk: approvals, incidents, stages, launch, reviews."""
