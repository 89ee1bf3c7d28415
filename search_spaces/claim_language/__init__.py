"""Claims in a person's words: from a text to comparisons, and from comparisons to texts."""

from search_spaces.claim_language.lines import claim_texts
from search_spaces.claim_language.texts import (
    LanguageError,
    comparison_text,
    read_comparison,
    read_comparisons,
)

__all__ = [
    "LanguageError",
    "claim_texts",
    "comparison_text",
    "read_comparison",
    "read_comparisons",
]
