"""Features of a frozen encoder: extracted, and kept for the next evaluation."""
