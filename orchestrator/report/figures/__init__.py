"""Figures of a report. The only place of matplotlib."""
