"""Write docs/reference/settings.md from the settings themselves. A test fails while the page is not current.

python scripts/write_reference.py
"""

from pathlib import Path

from hornbook.config.describe import reference_page
from hornbook.run import RunConfig

PAGE = Path(__file__).resolve().parents[1] / "docs" / "reference" / "settings.md"


def main() -> None:
    """Write the page."""
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(reference_page(RunConfig), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
