"""Print the tables of docs/reference/model-size.md: parameters, operations, sources of published figures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from passerby.models import MODELS
from passerby.models.complexity import Count, count_setting
from passerby.models.published import select_settings


def shorten(backbone: str) -> str:
    """The name of a backbone without its input size."""
    return backbone.removesuffix("_patch4_window7_224")


def describe(count: Count) -> str:
    """Model, backbone, number of attributes."""
    setting = count.setting
    backbone = shorten(setting.backbone or "–")
    return f"{setting.variant or setting.model} · {backbone} · {setting.attributes}"


def describe_with_size(count: Count) -> str:
    """The same with the input size."""
    return f"{describe(count)} · {'×'.join(map(str, count.setting.size_px))}"


def format_value(value: float | None, form: str) -> str:
    """A number, or a dash where there is none."""
    return "–" if value is None else f"{value:{form}}".replace("%", " %")


def list_parameters(counts: Sequence[Count]) -> Iterator[tuple[str, ...]]:
    """Parameters, which do not depend on the input size; one row each."""
    yield "model", "millions", "paper", "ratio", "over baseline"
    yield "---", *["---:"] * 4
    yield from dict.fromkeys(
        (
            describe(each),
            f"{each.counted.parameters / 1e6:.2f}",
            format_value(each.setting.parameters, ".2f"),
            format_value(each.parameters_ratio, ".3f"),
            format_value(each.parameters_overhead, "+.2%"),
        )
        for each in counts
    )


def list_operations(counts: Sequence[Count]) -> Iterator[tuple[str, ...]]:
    """Multiply-accumulate operations."""
    yield "model and input", "GMACs", "paper", "ratio", "over baseline"
    yield "---", *["---:"] * 4
    for each in counts:
        yield (
            describe_with_size(each),
            f"{each.counted.macs / 1e9:.3f}",
            format_value(each.setting.gmacs, ".2f"),
            format_value(each.gmacs_ratio, ".3f"),
            format_value(each.gmacs_overhead, "+.2%"),
        )


def list_sources(counts: Sequence[Count]) -> Iterator[tuple[str, ...]]:
    """The table of a paper that each figure is from."""
    yield "figures of", "models"
    yield "---", "---"
    for source in dict.fromkeys(each.setting.source for each in counts if each.setting.source):
        yield (
            source,
            "<br>".join(describe_with_size(each) for each in counts if each.setting.source == source),
        )


TABLES: dict[str, Callable[[Sequence[Count]], Iterator[tuple[str, ...]]]] = {
    "Parameters": list_parameters,
    "Operations": list_operations,
    "Sources of the papers' figures": list_sources,
}


def main() -> None:
    """Print a heading and a table for each."""
    counts = [count_setting(setting) for setting in select_settings(tuple(MODELS))]
    for i, (title, rows) in enumerate(TABLES.items()):
        print(*([""] if i else []), f"## {title}", "", sep="\n")
        for cells in rows(counts):
            print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
