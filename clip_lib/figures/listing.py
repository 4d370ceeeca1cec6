"""Show the library's own code in the notebook, for those who read its PDF."""

import ast
import inspect
from pathlib import Path


def listing(*parts) -> str:
    """Return source code as a block of Markdown, each part below the name of its file.

    Args:
        parts: Functions, classes, or modules, of which the functions and classes are
            shown. Docstrings are left out.
    """
    blocks = []
    for part in parts:
        source = inspect.getsource(part)
        lines, tree = source.splitlines(), ast.parse(source)
        defined = [
            node
            for node in ast.walk(tree)
            if isinstance(node, ast.FunctionDef | ast.ClassDef)
        ]
        for node in defined:
            if ast.get_docstring(node) is not None:
                first, last = node.body[0].lineno, node.body[0].end_lineno
                # With the blank line below it.
                last += not lines[last].strip()
                lines[first - 1 : last] = [None] * (last - first + 1)
        file = Path(inspect.getsourcefile(part))
        blocks.append(f"# {file.relative_to(Path(__file__).parents[2]).as_posix()}")
        for node in defined:
            if node in tree.body:
                first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
                kept = [
                    line
                    for line in lines[first - 1 : node.end_lineno]
                    if line is not None
                ]
                blocks[-1] += "\n" + "\n".join(kept) + "\n"
    return "```python\n" + "\n".join(blocks) + "```"
