"""HTML pages that need no network: style, charts and pictures lie inside them, and no script does.

Weighed: `html.escape` and string building would do without a package, but one forgotten call lets a file name or a class
name write into the page. jinja2 escapes everything by default, keeps the page readable as a page, and comes with torch.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from utils.deploy.optional import optional_module

_STYLE = Path(__file__).parent / "page.css"


def html_page(template: Path, filters: Mapping[str, Callable[..., object]] | None = None, **values: Any) -> str:
    """A page as text.

    Args:
        template: of jinja2; `{{ style }}` in it is the style that all pages share, and `words` a filter that cuts a command
            line into its words.
        filters: more of them.
        values: all names that the template uses.

    Raises:
        EngineError: jinja2 is not installed.
    """
    jinja2 = optional_module("jinja2", "jinja2")
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(template.parent), autoescape=True, trim_blocks=True,
                                     lstrip_blocks=True, undefined=jinja2.StrictUndefined)
    environment.filters |= {"words": lambda line: map(shlex.quote, shlex.split(line)), **(filters or {})}
    style = jinja2.utils.markupsafe.Markup(_STYLE.read_text(encoding="utf-8"))
    return environment.get_template(template.name).render(style=style, **values)
