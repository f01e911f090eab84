"""Fitting: the only importers of the training libraries. Imported in the training process alone."""
