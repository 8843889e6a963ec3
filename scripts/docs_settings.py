"""Griffe extension: a field declared by `setting` is shown with its default, meaning and limits."""

import ast

import griffe

_LIMITS = {"least": "at least", "most": "at most", "above": "above"}


class Settings(griffe.Extension):
    """Makes the docstrings of the records' fields from their declarations."""

    def on_attribute_instance(self, *, node, attr, **_):
        """Called once for each attribute that is found in the sources."""
        call = getattr(node, "value", None)
        if not isinstance(call, ast.Call) or getattr(call.func, "id", "") != "setting":
            return
        default, meaning = call.args
        parts = [_text(meaning, attr.module)]
        for keyword in call.keywords:
            if keyword.arg == "choices":
                choices = _choices(keyword.value, attr.module)
                if choices:
                    parts.append(f"one of {', '.join(map(str, choices))}")
            elif keyword.arg in _LIMITS:
                parts.append(f"{_LIMITS[keyword.arg]} {ast.unparse(keyword.value)}")
        attr.value = ast.unparse(default)
        attr.docstring = griffe.Docstring("; ".join(parts), parent=attr)
        attr.labels.discard("class-attribute")
        attr.labels.discard("instance-attribute")


def _text(node, module):
    """The text that a literal or a formatted string of the module's constants stands for."""
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part, module) for part in node.values)
    if isinstance(node, ast.FormattedValue):
        return str(module.members[ast.unparse(node.value)].value)
    return ast.literal_eval(node)


def _choices(node, module):
    """The choices, where they are written down in the module itself, else None."""
    if isinstance(node, ast.Name):
        constant = module.members.get(node.id)
        if constant is None or constant.is_alias:
            return None
        node = str(constant.value)
    try:
        return ast.literal_eval(node)
    except ValueError:
        return None
