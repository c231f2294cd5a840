"""What axe (github.com/dequelabs/axe-core) finds on a page: rules of WCAG that a program can check."""

from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Page

_SERIOUS = ("serious", "critical")
_RUN = "() => axe.run(document, {resultTypes: ['violations']})"


def serious_findings(page: Page) -> list[str]:
    """Return what is serious or critical on a page: the rule, the element, and what the rule asks for."""
    page.evaluate(AXE_SCRIPT)
    answer = page.evaluate(_RUN)
    return [
        f"{finding['id']}: {node['html'][:200]} ({finding['help']})"
        for finding in answer["violations"]
        if finding["impact"] in _SERIOUS
        for node in finding["nodes"]
    ]
