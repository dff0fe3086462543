"""Write the reference of settings, commands and column names, in Markdown, from the code itself."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import typer
from pydantic import BaseModel

from gnnrec.cli import app
from gnnrec.config import ModelConfig, RatingConfig, TrainConfig, model_config_class
from gnnrec.data.schema import COLUMNS
from gnnrec.registry import ENCODERS, LOSSES, METRICS

SIGNS = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
REGISTERED = {"model.encoder": ENCODERS, "train.loss": LOSSES, "train.metric": METRICS}
"""Settings that name something registered."""


def write(folder: Path) -> None:
    """Write ``config.md``, ``cli.md`` and ``columns.md``."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.md").write_text(config_reference(), encoding="utf-8")
    (folder / "cli.md").write_text(cli_reference(), encoding="utf-8")
    (folder / "columns.md").write_text(column_reference(), encoding="utf-8")


def config_reference() -> str:
    """Return a table for each section of `Config`, the settings of each encoder, and those of the rating model."""
    parts = [
        "## model",
        "Architecture of the network; every encoder has these settings.",
        _settings("model", ModelConfig),
    ]
    for name in ENCODERS.names():
        settings = model_config_class(name)
        if settings.model_fields.keys() - ModelConfig.model_fields.keys():
            parts += [f"### Only for `model.encoder: {name}`", _settings("model", settings, ModelConfig)]
    parts += ["## train", "Training of the network.", _settings("train", TrainConfig)]
    parts += [
        "## Rating model",
        "Fields of `gnnrec.RatingConfig`, passed as `gnnrec.fit_rating_model(..., rating_config=gnnrec.RatingConfig(...))`. "
        "They cannot be set in a YAML file or by `--set`.",
        _settings("RatingConfig", RatingConfig),
    ]
    return "\n\n".join(parts) + "\n"


def _settings(section: str, settings: type[BaseModel], base: type[BaseModel] | None = None) -> str:
    """Return the table of the settings that a class has beyond its base."""
    shared = base.model_fields if base else {}
    rows = [
        (
            _linked(f"{section}.{name}") if section in ("model", "train") else f"`{section}.{name}`",
            f"`{_yaml(key.get_default(call_default_factory=True))}`",
            f"{_prose(key.description)} {_values(f'{section}.{name}', key)}",
        )
        for name, key in settings.model_fields.items()
        if name not in shared
    ]
    return _table(("key", "default", "meaning"), rows)


def cli_reference() -> str:
    """Return a section for each command of the typer app, with its arguments and options."""
    group: Any = typer.main.get_command(app)
    parts = []
    for name, command in group.commands.items():
        arguments = [p for p in command.params if p.param_type_name == "argument"]
        usage = " ".join(["gnnrec", name, *map(_usage, arguments), "[OPTIONS]"])
        rows = [(_called(p), _default(p), _prose(p.help)) for p in command.params if p.name != "help"]
        parts += [
            f"## {name}",
            f"```text\n{usage}\n```",
            _prose(command.help),
            _table(("option", "default", "meaning"), rows),
        ]
    return "\n\n".join(parts) + "\n"


def column_reference() -> str:
    """Return the table of the names of columns that are recognized."""
    rows = [
        (table, f"`{name}`", ", ".join(f"`{alias}`" for alias in column.aliases))
        for table in ("ratings", "movies", "users")
        for name, column in COLUMNS[table].items()
    ]
    return _table(("table", "column", "names"), rows) + "\n"


def _linked(key: str) -> str:
    """Return a key that links to its own row; other pages link to it in the same way: ``(#train.seed)``."""
    return f'[[`{key}`](#{key})]{{id="{key}"}}'


def _values(name: str, field: Any) -> str:
    """Return the values that a setting accepts, in italics; nothing for free text."""
    if name in REGISTERED:
        return f"*{', '.join(REGISTERED[name].names())}*"
    if get_origin(field.annotation) is Literal:
        return f"*{', '.join(get_args(field.annotation))}*"
    bounds = [
        f"{word} {_yaml(limit)}"
        for rule in field.metadata
        for sign, word in SIGNS.items()
        if (limit := getattr(rule, sign, None)) is not None
    ]
    kind = {int: "integer", float: "number", bool: "true or false"}.get(field.annotation, "")
    return f"*{', '.join(filter(None, (kind, ' and '.join(bounds))))}*" if kind else ""


def _yaml(value: Any) -> str:
    """Return a value as it is written in YAML."""
    if isinstance(value, tuple):
        return f"[{', '.join(map(_yaml, value))}]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return f"{value:g}" if isinstance(value, float) else str(value)


def _called(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return f"`{parameter.name.upper()}`"
    return ", ".join(f"`{option}`" for option in parameter.opts)


def _usage(argument: Any) -> str:
    return argument.name.upper() if argument.required else f"[{argument.name.upper()}]"


def _default(parameter: Any) -> str:
    if parameter.required:
        return "required"
    return "" if parameter.default in (None, False, ()) else f"`{parameter.default}`"


def _prose(text: str | None) -> str:
    """Return a text on one line, with options as code: two hyphens would become a dash."""
    line = " ".join((text or "").replace("``", "`").split()).replace("|", "\\|")
    return re.sub(r"`[^`]*`|--[a-z-]+", lambda found: f"`{found[0].strip('`')}`", line)


def _table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [header, tuple("---" for _ in header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
