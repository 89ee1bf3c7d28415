"""Seeds of everything random: one for each purpose and index, from the run's."""

import hashlib

__all__ = ["seed_of"]


def seed_of(seed: int, purpose: str, index: int = 0) -> int:
    """Derive an independent seed from a run's, for one purpose and step."""
    return (
        int.from_bytes(hashlib.sha256(f"{seed}/{purpose}/{index}".encode()).digest()[:8], "big")
        >> 1
    )
