"""Questions in files: read, checked against what runs give, and written."""
