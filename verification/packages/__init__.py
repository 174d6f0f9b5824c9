"""Decoders of other packages: are they served, are they right, what do they cost."""
