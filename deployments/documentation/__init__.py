"""The documentation site: what of its pages is made from the code, and what a built page is checked for.

`hook` is what MkDocs calls (mkdocs.yml); every other module makes the parts that it is named after.
"""
