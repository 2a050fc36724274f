"""A page as its tests read it: its elements, and the words of each section."""

from __future__ import annotations

from html.parser import HTMLParser

_EMPTY = {"meta", "link", "img"}


class ParsedPage(HTMLParser):
    """tags: each element with its attributes. sections: the text of each <section>, by the id of its heading."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.sections: dict[str, str] = {}
        self.open: list[str] = []
        self._section = ""
        self.feed(text)
        self.close()
        assert self.open == [], "elements that are never closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "section":
            self._section = dict(attrs)["aria-labelledby"] or ""
        if tag not in _EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        if tag == "section":
            self._section = ""

    def handle_data(self, data: str) -> None:
        text = " ".join(data.split())
        if text:
            self.sections[self._section] = f"{self.sections.get(self._section, '')} {text}".strip()

    def of_class(self, name: str) -> list[dict[str, str | None]]:
        """The attributes of all elements of a class."""
        return [attrs for _, attrs in self.tags if name in (attrs.get("class") or "").split()]
