"""A configuration as a file of TOML, and with some of its values changed."""

import tomllib
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import tomli_w

from recognition.datasets._files import refusing, require_file, shown
from recognition.errors import InputError
from recognition.training.config import DEFAULTS, SECTIONS, TrainConfig, flat
from recognition.training.config_checks import nearest, said
from recognition.whole_files import written_whole

EXPECTED = "a configuration of a training run, in TOML,"
LARGEST = 2**20  # bytes: nobody writes as much by hand
HEADING = (
    "# Written by recognition train: all that this run was asked to do. Give the file to\n"
    "# recognition train --config for another run like it.\n\n"
)


def read_config(path: Path | str) -> TrainConfig:
    """The configuration in a file of TOML; what it leaves out has its default.

    Raises:
        InputError: no such file, one that is no TOML, or a section, key or value that makes no
            sense; the sentence names the file.
    """
    path = Path(path)
    size = require_file(path, EXPECTED)
    if size > LARGEST:
        raise InputError(
            f"expected {EXPECTED} at {shown(path)}, got {size:,} bytes, more than the {LARGEST:,} "
            "that are read; name another file"
        )
    with refusing(path, EXPECTED, "write it as recognition train writes config.toml"):
        told = tomllib.loads(_text(path))
    try:
        return config_of(told)
    except InputError as error:
        raise InputError(f"{shown(path)}: {error}") from None


def write_config(config: TrainConfig, path: Path) -> None:
    """Write every value, by default or not, whole or not at all."""
    with written_whole(path) as file:
        file.write((HEADING + tomli_w.dumps(sections_of(config))).encode())


def sections_of(config: TrainConfig) -> dict[str, dict[str, Any]]:
    """The sections as plain values, lists for tuples: what TOML and JSON can hold."""
    told: dict[str, dict[str, Any]] = {section: {} for section in SECTIONS}
    for key, value in flat(config).items():
        section, name = key.split(".")
        told[section][name] = list(value) if isinstance(value, tuple) else value
    return told


def config_of(told: Mapping[str, object]) -> TrainConfig:
    """The configuration of sections as `sections_of` gives them; what is left out has its default.

    Raises:
        InputError: an unknown section or key, or a value that makes no sense.
    """
    values: dict[str, object] = {}
    for section, entries in told.items():
        if section not in SECTIONS:
            raise InputError(_unknown_section(section, entries))
        if not isinstance(entries, Mapping):
            raise InputError(
                f"the key {said(section)} is a section: write [{section}] above its keys, got "
                f"{said(entries)}"
            )
        values |= {f"{section}.{name}": value for name, value in entries.items()}
    return changed(TrainConfig(), values)


def changed(config: TrainConfig, values: Mapping[str, object]) -> TrainConfig:
    """The configuration with other values by their keys.

    Raises:
        InputError: an unknown key, or a value that makes no sense.

    >>> changed(TrainConfig(), {"optimiser.lr": 0.2}).optimiser.lr
    0.2
    """
    for key in values:
        if key not in DEFAULTS:
            raise InputError(_unknown_key(key))
    told = flat(config) | dict(values)
    return TrainConfig(
        **{
            section: kind(**{each.name: told[f"{section}.{each.name}"] for each in fields(kind)})
            for section, kind in SECTIONS.items()
        }
    )


def differences(now: TrainConfig, before: TrainConfig) -> list[str]:
    """What has changed, a line each.

    >>> differences(changed(TrainConfig(), {"optimiser.lr": 0.2}), TrainConfig())
    ['optimiser.lr is 0.2, and was 0.1']
    """
    old = flat(before)
    return [
        f"{key} is {said(value)}, and was {said(old[key])}"
        for key, value in flat(now).items()
        if value != old[key]
    ]


def _text(path: Path) -> str:
    raw = path.read_bytes()
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"{shown(path)}, line {line}: expected UTF-8 text, but the bytes are something else; "
            "save the file as UTF-8"
        ) from None


def _unknown_section(section: str, entries: object) -> str:
    if isinstance(entries, Mapping):
        return f"unknown section {said(section)}; {nearest(section, SECTIONS)}"
    owner = _owner(section)
    below = f"[{owner}]" if owner else f"one of {', '.join(f'[{name}]' for name in SECTIONS)}"
    return f"the key {said(section)} is in no section; it goes below {below}"


def _unknown_key(key: str) -> str:
    section, dot, name = key.partition(".")
    if section not in SECTIONS:
        return _unknown_section(section, {} if dot else None)
    names = [each.name for each in fields(SECTIONS[section])]
    owner = _owner(name)
    if owner and nearest(name, names).startswith("known"):
        return f"unknown key {said(key)}; {name} goes below [{owner}]"
    return f"unknown key {said(key)}; {nearest(name, names)}"


def _owner(name: str) -> str | None:
    """The only section with an entry of this name."""
    found = [key.partition(".")[0] for key in DEFAULTS if key.partition(".")[2] == name]
    return found[0] if len(found) == 1 else None
