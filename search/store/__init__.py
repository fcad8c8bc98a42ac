"""The store: entries on disk that appear whole or not at all."""
