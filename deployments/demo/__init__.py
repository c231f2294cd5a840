"""A demo without a hospital: synthetic studies and embedded archives."""
