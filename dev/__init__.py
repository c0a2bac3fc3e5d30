"""What writes this project's own pages and tables; for a clone, not in the wheel."""
