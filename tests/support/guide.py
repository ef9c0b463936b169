"""The code of docs/integrate.md, as a reader would copy it."""

import re

from .servers import PROJECT

BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def blocks(language: str) -> list[str]:
    text = (PROJECT / "docs" / "integrate.md").read_text()
    return [code for name, code in BLOCK.findall(text) if name == language]
