"""What keeps the notebooks in order: pairs in step, generated cells, stored outputs."""
