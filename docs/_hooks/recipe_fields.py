"""Writes the fields of recipes into their page, from the models that check them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fgrpo.lab.settings import Recipe
from fgrpo.simulation.settings import SimulationRecipe

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = "reference/recipes.md"
MODELS = {"<!-- fields of run -->": Recipe, "<!-- fields of simulate -->": SimulationRecipe}
BOUNDS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}


def on_page_markdown(markdown: str, page: Any, **_: object) -> str:
    """Put the tables where the page says."""
    if page.file.src_uri == PAGE:
        for mark, model in MODELS.items():
            markdown = markdown.replace(mark, fields(model.model_json_schema()))
    return markdown


def fields(schema: dict[str, Any]) -> str:
    """Write a table of the fields of a recipe, and one for each of its parts."""
    lines = list(_table(schema, {}))
    shared: dict[str, Any] = {}
    for name, field in schema["properties"].items():
        part = field.get("items", field).get("$ref")
        if part:
            model = schema["$defs"][part.rsplit("/", 1)[1]]
            lines += [f"\n**`{name}`** {model['description']}\n"]
            lines += _table(model, shared if "items" in field else {})
            shared |= model["properties"]
    return "\n".join(lines)


def _table(model: dict[str, Any], shared: dict[str, Any]) -> Iterator[str]:
    """Write a table of the fields that are not shared, with a part shown before."""
    yield "| Field | Values | Default | Meaning |\n|---|---|---|---|"
    for name, field in model["properties"].items():
        if "$ref" in field.get("items", field):
            continue  # a table of its own
        if shared.get(name) == field:
            continue
        default = f"`{field['default']}`" if field.get("default") not in (None, "") else ""
        shown = "required" if name in model.get("required", ()) else default
        yield f"| `{name}` | {_values(field)} | {shown} | {field.get('description', '')} |"


def _values(field: dict[str, Any]) -> str:
    """Say what a field may hold."""
    if "anyOf" in field:
        return ", or ".join(map(_values, field["anyOf"]))
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    if field["type"] == "array":
        return f"list of {_values(field['items'])}"
    words = {"null": "empty", "string": "text"}
    bounds = [f"{sign} {field[key]:,}" for key, sign in BOUNDS.items() if key in field]
    return f"{words.get(field['type'], field['type'])} {' and '.join(bounds)}".strip()
