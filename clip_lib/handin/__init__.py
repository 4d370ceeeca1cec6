"""What is handed in: the notebook on paper, the report, the archive."""
