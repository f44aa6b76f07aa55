"""A hook of the documentation site: links out of `docs/` lead to the repository."""

from __future__ import annotations

import re
from typing import Any

OUTSIDE = re.compile(r"\]\(\.\./([^)]+)\)")


def on_page_markdown(markdown: str, *, config: Any, **_: Any) -> str:
    """Replace `](../FILE)` by the address of that file."""
    return OUTSIDE.sub(rf"]({config['repo_url']}/blob/main/\1)", markdown)
