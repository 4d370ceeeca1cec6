"""The submission: notebook PDF, report, archive."""
