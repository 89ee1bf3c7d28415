"""A question as the text of a file that asks it."""

from collections.abc import Mapping
from typing import Any

import yaml

__all__ = ["question_yaml"]


def question_yaml(tree: Mapping[str, Any]) -> str:
    """Return a question's tree as YAML that is read as the same."""
    return yaml.safe_dump(
        dict(tree), sort_keys=False, default_flow_style=None, width=100, allow_unicode=True
    )
