"""What a page of the documentation would make a browser fetch from other hosts."""

import pytest

from deployments.documentation.outside import outside_requests


@pytest.mark.parametrize(
    "html",
    [
        '<script src="https://unpkg.com/mermaid@11/dist/mermaid.min.js"></script>',
        '<link rel="stylesheet" href="//fonts.example.org/css">',
        '<link rel="preconnect" href="HTTPS://fonts.example.org">',
        '<img alt="" src="http://example.org/pixel.gif">',
        '<img alt="" src="here.png" srcset="here.png 1x, https://example.org/large.png 2x">',
        '<iframe src="https://example.org/"></iframe>',
        '<svg><use href="https://example.org/icons.svg#a"/></svg>',
        '<video poster="https://example.org/still.png"></video>',
        '<pre class="mermaid"><code>graph TD</code></pre>',
    ],
)
def test_what_is_fetched_from_elsewhere_is_found(html: str) -> None:
    assert len(outside_requests(html)) == 1


@pytest.mark.parametrize(
    "html",
    [
        '<a href="https://github.com/openradx/adit">openradx/adit</a>',
        '<script src="assets/bundle.js"></script>',
        '<link rel="icon" href="../images/favicon.svg">',
        '<img alt="" src="/images/processes.svg">',
        '<img alt="" src="data:image/svg+xml,https://example.org">',
        '<code>&lt;img src="https://example.org"&gt;</code>',
        "",
    ],
)
def test_what_is_here_or_only_linked_is_not(html: str) -> None:
    assert outside_requests(html) == []
