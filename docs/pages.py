"""Build the pages of the site that are written elsewhere: one for each section of `connectors/README.md`.

MkDocs calls the `on_…` functions; a connector is described once, beside its code.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

CONNECTORS: Final = Path(__file__).parents[1] / "connectors" / "README.md"
_NO_CONNECTOR: Final = "Add one"


def pages() -> dict[str, str]:
    """Give the pages of the connectors: path in the site → text."""
    sections = re.split(r"^## ", CONNECTORS.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    titled = ((section.partition("\n")[0].strip(), section) for section in sections)
    return {
        f"connectors/{title.replace(', ', '-')}.md": "# " + re.sub(r"^##(#+) ", r"\1# ", section, flags=re.MULTILINE)
        for title, section in titled
        if title != _NO_CONNECTOR
    }


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Name the pages in the menu."""
    for part in config.nav or []:
        if "Connectors" in part:
            part["Connectors"] = list(pages())
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages to those in `docs/`."""
    for path, text in pages().items():
        files.append(File.generated(config, path, content=text))
    return files


def on_page_markdown(markdown: str, **_: object) -> str:
    """Leave of a link to a file outside `docs/` its text: the site holds the documentation, not the repository."""
    return re.sub(
        r"\[([^\]]+)\]\((?:\.\./)+(?!docs/)(?:deploy|connectors|pipelines|benchmarks|README|CONTRIBUTING)[^)]*\)",
        r"\1",
        markdown,
    )
