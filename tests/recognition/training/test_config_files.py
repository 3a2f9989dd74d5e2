"""Configurations in files: what is written is read back, and what is wrong is said."""

import os
import tomllib

import pytest
from fuzz import SOAK, damaged, refused
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recognition.errors import InputError
from recognition.training.config import (
    CHOICES,
    DEFAULTS,
    LIMITS,
    SECTIONS,
    AugmentConfig,
    OptimiserConfig,
    RunConfig,
    TrainConfig,
)
from recognition.training.config_files import (
    changed,
    config_of,
    differences,
    read_config,
    sections_of,
    write_config,
)
from recognition.training.metric import HIGHER_IS_BETTER

TEXT = st.text(max_size=20)


def within(key):
    limit = LIMITS[key]
    if isinstance(DEFAULTS[key], int):
        return st.integers(limit.low, limit.high)
    ends = {"exclude_min": limit.open_low, "exclude_max": limit.open_high}
    return st.floats(limit.low, limit.high, **ends)


def section(name, /, **others):
    names = [key.partition(".")[2] for key in DEFAULTS if key.startswith(f"{name}.")]
    known = {each: within(f"{name}.{each}") for each in names if f"{name}.{each}" in LIMITS}
    known |= {
        each: st.sampled_from(CHOICES[f"{name}.{each}"])
        for each in names
        if f"{name}.{each}" in CHOICES
    }
    return st.fixed_dictionaries({**known, **others})


@st.composite
def configs(draw):
    told = {
        "data": draw(section("data", pictures=st.text(min_size=1), validation=TEXT)),
        "model": {"head": draw(st.sampled_from(["arcface:m=0.5,s=64", "cosface"]))},
        "optimiser": draw(section("optimiser", name=st.just("sgd"))),
        "schedule": draw(
            section(
                "schedule",
                warmup=st.floats(0, 0.1),
                milestones=st.lists(st.floats(0.1, 0.99), unique=True, min_size=1).map(sorted),
            )
        ),
        "augment": draw(section("augment", mirror=st.booleans())),
        "validation": draw(section("validation", metric=st.sampled_from([*HIGHER_IS_BETTER]))),
        "run": draw(section("run", device=st.sampled_from(["cpu", "cuda", "cuda:1", "mps"]))),
    }
    return config_of(told)


@settings(
    max_examples=1000 if SOAK else 30, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(configs())
def test_what_is_written_is_read_back(tmp_path, config):
    write_config(config, tmp_path / "config.toml")
    assert read_config(tmp_path / "config.toml") == config
    assert config_of(sections_of(config)) == config


def test_every_key_is_in_the_file_and_the_heading_says_what_it_is_for(tmp_path):
    path = tmp_path / "config.toml"
    write_config(TrainConfig(), path)
    text = path.read_text()
    assert text.startswith("# Written by recognition train")
    assert "--config" in text.partition("\n\n")[0]
    told = tomllib.loads(text)
    assert {f"{name}.{key}" for name, keys in told.items() for key in keys} == set(DEFAULTS)


def test_who_stops_in_writing_leaves_what_was_there(tmp_path, monkeypatch):
    path = tmp_path / "config.toml"
    write_config(TrainConfig(), path)
    before = path.read_bytes()

    def stopped(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", stopped)
    with pytest.raises(OSError, match="No space"):
        write_config(changed(TrainConfig(), {"run.steps": 3}), path)
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["config.toml"]


def read(tmp_path, text):
    path = tmp_path / "my.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_config(path)


def test_what_a_file_leaves_out_has_its_default(tmp_path):
    found = read(tmp_path, "\ufeff# mine\n[optimiser]\nlr = 1\n[augment]\nmirror = false\n")
    assert found == TrainConfig(
        optimiser=OptimiserConfig(lr=1.0), augment=AugmentConfig(mirror=False)
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[optimizer]\nlr = 0.1", "unknown section 'optimizer'; did you mean 'optimiser'? known: "),
        ("[optimiser]\nlrr = 0.1", "unknown key 'optimiser.lrr'; did you mean 'lr'? known: name, "),
        ("[optimiser]\nwarmup = 0", "unknown key 'optimiser.warmup'; warmup goes below [schedule]"),
        ("[optimiser.lr]\nhigh = 0.1", "optimiser.lr: expected a number, got {'high': 0.1}"),
        ("lr = 0.1", "the key 'lr' is in no section; it goes below [optimiser]"),
        ("name = 'sgd'", "the key 'name' is in no section; it goes below one of [data], [model],"),
        ("run = 3", "the key 'run' is a section: write [run] above its keys, got 3"),
        ("[[run]]\nsteps = 3", "the key 'run' is a section: write [run] above its keys, got [{"),
        ("[run]\nsteps = 2.5", "run.steps: expected a whole number, got 2.5"),
        ("[run]\nsteps = '3'", "run.steps: expected a whole number, got '3'"),
        ("[run]\nsteps = 2026-01-01", "run.steps: expected a whole number, got datetime.date("),
        ("[run]\nsteps = 0x" + "f" * 6000, "run.steps: expected a whole number 1 <= steps <= "),
        ("[optimiser]\nlr = nan", "optimiser.lr: expected 0 < lr <= 10, got nan"),
        (
            "[model]\nhead = 'arcfase'",
            "model.head: unknown margin 'arcfase'; did you mean 'arcface'",
        ),
    ],
)
def test_what_is_wrong_in_a_file_is_said_with_its_name(tmp_path, text, message):
    with pytest.raises(InputError) as error:
        read(tmp_path, text)
    assert str(error.value).startswith(f"{tmp_path / 'my.toml'}: {message}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "it is empty"),
        (b"[run\n", "cannot be read (Expected ']' at the end of a table declaration"),
        (b"[run]\nsteps = 1\nsteps = 2\n", "cannot be read (Cannot overwrite a value"),
        (b"# gr\xfc\xdf\n", "my.toml, line 1: expected UTF-8 text"),
        (b"\n\n# gr\xfc\xdf\n", "my.toml, line 3: expected UTF-8 text"),
        (b"x = " + b"[" * 100_000, "cannot be read ("),
        (b"#" * 2**20 + b"\n", "got 1,048,577 bytes, more than the 1,048,576 that are read"),
    ],
)
def test_files_that_are_no_configuration(tmp_path, text, message):
    with pytest.raises(InputError) as error:
        read(tmp_path, text)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_no_file_and_a_folder(tmp_path):
    with pytest.raises(InputError, match="it is a folder; name one file in it"):
        read_config(tmp_path)
    with pytest.raises(InputError, match="no such file"):
        read_config(tmp_path / "none.toml")


def test_damage_is_refused_or_reads_as_a_configuration(tmp_path):
    write_config(TrainConfig(), tmp_path / "good.toml")
    path = tmp_path / "bad.toml"
    for _, raw in damaged((tmp_path / "good.toml").read_bytes()):
        path.write_bytes(raw)
        refused(lambda: read_config(path), lambda found: isinstance(found, TrainConfig))


def test_changes_by_key():
    found = changed(TrainConfig(), {"optimiser.lr": 0.2, "schedule.milestones": [0.5, 0.6]})
    assert (found.optimiser.lr, found.schedule.milestones) == (0.2, (0.5, 0.6))
    assert changed(found, {"run.steps": 7}).optimiser.lr == 0.2
    assert changed(found, {}) == found


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("optimiser.lrs", "unknown key 'optimiser.lrs'; did you mean 'lr'?"),
        ("optimizer.lr", "unknown section 'optimizer'; did you mean 'optimiser'?"),
        ("lr", "the key 'lr' is in no section; it goes below [optimiser]"),
        ("optimiser", "unknown key 'optimiser'; known: name, lr,"),
    ],
)
def test_changes_of_nothing_there_is(key, message):
    with pytest.raises(InputError) as error:
        changed(TrainConfig(), {key: 1})
    assert str(error.value).startswith(message)


def test_changes_that_lead_from_one_sound_pair_to_another_are_made_at_once():
    found = changed(TrainConfig(), {"optimiser.name": "adamw", "optimiser.lr": 1e-3})
    assert (found.optimiser.name, found.optimiser.lr) == ("adamw", 1e-3)


def test_differences_are_said_in_words():
    before = TrainConfig()
    values = {"optimiser.lr": 0.2, "augment.mirror": False, "schedule.milestones": (0.5,)}
    assert differences(changed(before, values), before) == [
        "optimiser.lr is 0.2, and was 0.1",
        "schedule.milestones is [0.5], and was [0.5, 0.7, 0.9]",
        "augment.mirror is false, and was true",
    ]
    assert differences(before, TrainConfig()) == []


def test_sections_are_plain_values():
    told = sections_of(TrainConfig(run=RunConfig(steps=3)))
    assert list(told) == list(SECTIONS)
    assert told["schedule"]["milestones"] == [0.5, 0.7, 0.9]
    assert told["run"]["steps"] == 3
