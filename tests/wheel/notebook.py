"""Runs the code of a notebook in this folder, cell by cell, and prints what each cell shows.

It stands in for Jupyter, so cells may hold Python only. A page is printed as its length.
"""

import ast
import json
import sys

names = {}
with open(sys.argv[1], encoding="utf-8") as file:
    notebook = json.load(file)
for cell in notebook["cells"]:
    if cell["cell_type"] != "code":
        continue
    tree = ast.parse("".join(cell["source"]))
    shown = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "cell", "exec"), names)
    if shown:
        value = eval(compile(ast.Expression(shown.value), "cell", "eval"), names)
        page = value._repr_html_() if type(value).__module__.startswith("tagfleet") else None
        print(f"PAGE {len(page)}" if page else repr(value))
