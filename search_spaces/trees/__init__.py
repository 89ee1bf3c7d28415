"""Questions as plain trees: read with all that is wrong, and written."""
