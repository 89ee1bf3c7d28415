"""What each command does: check the request, do it, print, and say how it ended."""
