"""People who are enrolled: kept in SQLite, searched exactly, forgotten when they ask."""
