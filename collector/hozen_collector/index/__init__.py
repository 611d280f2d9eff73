"""The collector's memory: SQLAlchemy models, the engine and its migrations."""
