"""The OpenAPI description as one page of HTML, for people. It asks nothing of any other host."""

from __future__ import annotations

from html import escape

STYLE = """:root{color-scheme:light dark}
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}
code{font-size:.95em}h2{margin-top:2.5rem}table{border-collapse:collapse;width:100%}
td,th{text-align:left;vertical-align:top;padding:.3rem .8rem .3rem 0;border-bottom:1px solid #8884}"""


def html(openapi: dict) -> str:
    """The page for an OpenAPI 3.1 description."""
    title, about = (escape(openapi["info"][key]) for key in ("title", "description"))
    parts = [f"<h1>{title}</h1><p>{about}<p><a href='openapi.json'>openapi.json</a> tells programs the same."]
    for path, methods in openapi["paths"].items():
        for method, operation in methods.items():
            parts.append(
                _operation(openapi, f"{method.upper()} {openapi['servers'][0]['url']}{path}", operation)
            )
    head = f"<meta charset=utf-8><meta name=viewport content='width=device-width'><title>{title}</title>"
    return f"<!doctype html><html lang=en>{head}<style>{STYLE}</style>{''.join(parts)}</html>"


def _operation(openapi: dict, name: str, operation: dict) -> str:
    rows = [_row(openapi, *field) for field in _fields(openapi, operation)]
    answers = [
        f"<tr><td>{status}<td>{escape(r['description'])}" for status, r in operation["responses"].items()
    ]
    takes = f"<table><tr><th>Field<th>Takes<th>Meaning{''.join(rows)}</table>" if rows else ""
    says = f"<h2><code>{escape(name)}</code></h2><p>{escape(operation.get('description', ''))}</p>"
    return f"{says}{takes}<h3>Answers</h3><table>{''.join(answers)}</table>"


def _fields(openapi: dict, operation: dict):
    """(name, schema, required) of everything in the body."""
    for media, content in operation.get("requestBody", {}).get("content", {}).items():
        schema = _resolved(openapi, content["schema"])
        if "properties" not in schema:
            yield media, {"description": "The recording itself.", **schema}, False
        for field, about in schema.get("properties", {}).items():
            yield field, about, field in schema.get("required", [])


def _row(openapi: dict, name: str, schema: dict, required: bool) -> str:
    default = f" Without it: {schema['default']}." if schema.get("default") not in (None, [], "") else ""
    must = " <b>required</b>" if required else ""
    says = escape(schema.get("description", "") + default)
    return f"<tr><td><code>{escape(name)}</code>{must}<td>{escape(_takes(openapi, schema))}<td>{says}"


def _takes(openapi: dict, schema: dict) -> str:
    schema = _resolved(openapi, schema)
    if "anyOf" in schema:
        return " or ".join(_takes(openapi, kind) for kind in schema["anyOf"])
    if "enum" in schema or "const" in schema:
        return ", ".join(map(str, schema.get("enum", [schema.get("const")])))
    if schema.get("type") == "array":
        return f"several: {_takes(openapi, schema['items'])}"
    if schema.get("type") == "object":
        return "{" + ", ".join(schema.get("properties", {})) + "}"
    if schema.get("format") == "binary":
        return "file"
    bounds = [
        f"{sign} {schema[key]:g}" for key, sign in (("minimum", "from"), ("maximum", "to")) if key in schema
    ]
    return " ".join([schema.get("type", "anything"), *bounds])


def _resolved(openapi: dict, schema: dict) -> dict:
    if "$ref" in schema:
        return {**openapi["components"]["schemas"][schema["$ref"].rpartition("/")[2]], **schema}
    return schema
