"""The recorded table: learning curves of small trainings, and what reads them."""
