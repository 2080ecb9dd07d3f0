"""A plain-Python witness of the counting rules: slow, simple, and written from the rules alone."""
