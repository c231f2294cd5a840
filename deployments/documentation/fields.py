"""What is said below each field of a class, which Python does not keep."""

import ast
import inspect
import textwrap
from collections.abc import Mapping

from deployments.documentation.markdown import sentence


def meanings(described: type) -> Mapping[str, str]:
    """Return the first paragraph of the text below each field, by the name of the field."""
    [definition] = ast.parse(textwrap.dedent(inspect.getsource(described))).body
    assert isinstance(definition, ast.ClassDef)
    found: dict[str, str] = {}
    for field, below in zip(definition.body, definition.body[1:], strict=False):
        match field, below:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                found[name] = sentence(inspect.cleandoc(text))
    return found
