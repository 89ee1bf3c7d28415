"""Numbers with the name of what they count."""

__all__ = ["counted"]


def counted(number: float, one: str, several: str | None = None) -> str:
    """Return `1 cell`, `2 cells`, `0 cells`, `0.5 GPUs`, `2,000 runs`; by default with an s."""
    return f"{number:{',' if isinstance(number, int) else 'g'}} " + (
        one if number == 1 else several or f"{one}s"
    )
