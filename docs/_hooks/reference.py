"""Pages of the reference made from the code: the command line, and the keys of recipes and suites."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any, get_args

from griffe import Docstring, DocstringSectionKind
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages before the navigation is made."""
    from passerby.config.recipe import Recipe
    from passerby.config.suite import SuiteSection

    pages = {
        "reference/cli.md": list_commands(),
        "reference/recipe-keys.md": list_keys(Recipe, "Recipe keys", RECIPE),
        "reference/suite-keys.md": list_keys(SuiteSection, "Suite keys", SUITE),
    }
    for path, lines in pages.items():
        files.append(File.generated(config, path, content="\n".join(lines) + "\n"))
    return files


# ---------------------------------------------------------------------- command line

CLI = (
    "`passerby COMMAND --help` prints the same. Exit status: 0 for success, 1 if some input was skipped, 2 "
    "for an error. `--version` prints the version. [Use the command line](../how-to/command-line.md) "
    "explains `--quiet`, `--verbose`, `--json` and completion."
)


def list_commands() -> Iterator[str]:
    """The page of the command line: a heading a command, its text, usage, arguments and options."""
    import typer

    from passerby.cli import app

    yield from ("# Command line", "", CLI, "")
    group = typer.main.get_command(app)
    top = group.make_context("passerby", [], resilient_parsing=True)
    for name in group.list_commands(top):
        command = group.get_command(top, name)
        context = command.make_context(name, [], parent=top, resilient_parsing=True)
        yield from (f"## passerby {name}", "", escape(inspect.cleandoc(command.help or "")), "")
        usage = " ".join(["passerby", name, *command.collect_usage_pieces(context)])
        yield from ("```text", usage, "```", "")
        for parameter in command.params:
            if record := parameter.get_help_record(context):
                yield from (f"`{record[0]}`", f":   {escape(record[1]) or '-'}", "")


def escape(text: str) -> str:
    """Text as Markdown: what would be markup is escaped, code in backticks is kept."""
    pieces = re.split(r"(`[^`]*`)", text)
    return "".join(
        p if p.startswith("`") else re.sub(r"([*_\[\]])", r"\\\1", p).replace("<", "&lt;") for p in pieces
    )


# ---------------------------------------------------------------------- keys

RECIPE = (
    "A recipe is a YAML file with these keys. An unknown key is an error. `--set section.key=value` changes "
    "one on the command line; `extends: other.yaml` starts from another recipe. See "
    "[Train a model](../how-to/train.md)."
)
SUITE = (
    "A suite is a YAML file with these keys. An unknown key is an error. "
    "See [Run a suite](../how-to/suite.md)."
)


def list_keys(model: Any, title: str, text: str) -> Iterator[str]:
    """The page of a pydantic model: its own keys, then a heading for each section below it."""
    yield from (f"# {title}", "", text, "")
    sections = list(find_sections(model))
    yield from list_fields(model, "Top level", skip=dict(sections))
    for name, section in sections:
        yield from list_fields(section, name)


def find_sections(model: Any) -> Iterator[tuple[str, Any]]:
    """Fields whose value, or each value of whose mapping, is a model of its own."""
    for name, field in model.model_fields.items():
        for kind in walk(field.annotation):
            if hasattr(kind, "model_fields"):
                yield (name if kind is field.annotation else f"{name}.NAME"), kind


def walk(kind: Any) -> Iterator[Any]:
    """A type and all types in its brackets."""
    yield kind
    for inner in get_args(kind):
        yield from walk(inner)


def list_fields(model: Any, heading: str, *, skip: Any = ()) -> Iterator[str]:
    """A heading and a definition list of the keys of one model."""
    sections = Docstring(inspect.getdoc(model) or "").parse("google", warnings=False)
    texts = {
        p.name: p.description for s in sections if s.kind is DocstringSectionKind.parameters for p in s.value
    }
    schema = model.model_json_schema()
    yield from (f"## {heading}", "")
    yield from (s.value + "\n" for s in sections if s.kind is DocstringSectionKind.text)
    for name, field in model.model_fields.items():
        if name in skip:
            continue
        values = describe_values(schema["properties"][name])
        default = "Required." if field.is_required() else f"Default: `{show(schema['properties'][name])}`."
        yield from (f"`{name}` · {values}", f":   {join(texts.get(name, ''))}{default}", "")


def join(text: str) -> str:
    """Several lines as one, ready for what follows."""
    return escape(" ".join(text.split())) + " " if text else ""


def show(schema: dict[str, Any]) -> str:
    """The default of a key as YAML."""
    import yaml

    text = yaml.safe_dump(schema.get("default", {}), default_flow_style=True, width=1000)
    return text.removesuffix("...\n").strip()


def describe_values(schema: dict[str, Any]) -> str:
    """The values that a key takes, from its JSON schema."""
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(describe_values(each) for each in schema["anyOf"]))
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    if schema.get("type") == "array":
        items = schema.get("items") or (schema.get("prefixItems") or [{}])[0]
        return f"list of {describe_values(items)}"
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    words = {"integer": "whole number", "string": "text", "object": "mapping", "boolean": "true or false"}
    limits = [f"{sign} {schema[key]}" for key, sign in signs.items() if key in schema]
    return " ".join([words.get(schema.get("type", ""), schema.get("type", "any")), *limits])
