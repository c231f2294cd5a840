"""The mark of ADIT, as SVG: something moves from one shelf to another."""

_SHAPES = """
<rect width="48" height="48" rx="11" fill="#0b6e99"/>
<g fill="none" stroke="#fff" stroke-width="3" stroke-linecap="round" stroke-linejoin="round">
<path d="M17 11h-6v26h6" opacity=".6"/>
<path d="M31 11h6v26h-6"/>
<path d="M16 24h14M25 18.500l5.500 5.500-5.500 5.500"/>
</g>
"""

MARK = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 48 48" aria-hidden="true">{_SHAPES}</svg>'
WORDMARK = f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 152 48">{_SHAPES}
<text x="60" y="34" font-family="system-ui, sans-serif" font-size="29" font-weight="700" letter-spacing="1"
fill="#2b8fbd">ADIT</text></svg>"""
