from __future__ import annotations

import os
import tomllib
from pathlib import Path

import pytest
from command_line import FEW, TINY, Nwp, files_in


@pytest.fixture
def user_file() -> Path:
    path = Path(os.environ["XDG_CONFIG_HOME"]) / "nwp" / "config.toml"
    path.parent.mkdir()
    return path


def _rounds(nwp: Nwp, *before: object) -> tuple[object, str]:
    found = nwp(*before, "config", "show", "--json").result()["train"]["rounds"]
    return found["value"], found["source"]


def test_each_later_place_goes_before_the_earlier_ones(
    nwp: Nwp, corpus: Path, user_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert _rounds(nwp) == (60, "default")

    user_file.write_text("[train]\nrounds = 1\nseed = 5\n")
    assert _rounds(nwp) == (1, str(user_file))

    Path("nwp.toml").write_text("[train]\nrounds = 2\n")
    assert _rounds(nwp) == (2, "nwp.toml")
    train = nwp("config", "show", "--json").result()["train"]
    assert train["seed"] == {"value": 5, "source": str(user_file)}  # files add up

    Path("given.toml").write_text("[train]\nrounds = 3\n")
    assert _rounds(nwp, "--config", "given.toml") == (3, "given.toml")
    train = nwp("--config", "given.toml", "config", "show", "--json").result()["train"]
    assert train["seed"] == {"value": 0, "source": "default"}  # the usual files do not count

    monkeypatch.setenv("NWP_TRAIN_ROUNDS", "4")
    assert _rounds(nwp, "--config", "given.toml") == (4, "NWP_TRAIN_ROUNDS")

    train_words = ("train", corpus, "--out", "m", *TINY, "--json")
    assert nwp("--config", "given.toml", *train_words).result()["rounds"] == 4
    flagged = nwp("--config", "given.toml", *train_words, "--rounds", 1, "--force").result()
    assert flagged["rounds"] == 1


def test_a_settings_file_is_used_by_the_commands(nwp: Nwp, corpus: Path, bundle: Path) -> None:
    Path("nwp.toml").write_text(
        '[train]\nout = "from-file"\nrounds = 1\nheld_out = "user2"\ntied = false\n'
        'public_words = 200\nembedding = 8\nhidden = 8\nprocesses = 1\nrefuse = ["worker-2"]\n'
        f'workers = 2\n[suggest]\nk = 1\nmodel = "{bundle}"\n'
    )

    result = nwp("train", corpus, "--json").result()

    assert (result["model"], result["rounds"]) == ("from-file", 1)
    assert result["held_out"] == ["user2"]
    assert set(result["absent"]) == {"worker-2"}
    assert '"tied": false' in Path("from-file/settings.json").read_text()
    assert len(nwp("suggest", "see ", "--json").result()["suggestions"]) == 1


def test_environment_variables_are_named_like_the_long_options(
    nwp: Nwp, corpus: Path, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NWP_TRAIN_OUT", "from-environment")
    monkeypatch.setenv("NWP_TRAIN_FROM", str(bundle))
    monkeypatch.setenv("NWP_TRAIN_REFUSE", "worker-2")
    monkeypatch.setenv("NWP_TRAIN_WORKERS", "2")

    result = nwp("train", corpus, *FEW, "--rounds", 1, "--json").result()

    assert result["model"] == "from-environment"
    assert set(result["absent"]) == {"worker-2"}
    assert f'"from": "{bundle}"' in Path("from-environment/settings.json").read_text()


def test_what_config_show_prints_is_a_settings_file_that_means_the_same(
    nwp: Nwp, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("nwp.toml").write_text(
        "[train]\nrounds = 7\nepsilon = 1e-5\ntied = false\n"
        "held_out = \"it's \\\\ \\\"Zoë\\\"\"\nrefuse = ['a', 'b']\n"
    )
    monkeypatch.setenv("NWP_TRAIN_SEED", "11")
    monkeypatch.setenv("NWP_TRAIN_SKIP_BAD_LINES", "1")
    before = nwp("config", "show", "--json").result()
    shown = nwp("config", "show")
    assert shown.code == 0
    for name in ("NWP_TRAIN_SEED", "NWP_TRAIN_SKIP_BAD_LINES"):
        monkeypatch.delenv(name)

    Path("shown.toml").write_text(shown.out, encoding="utf-8")
    again = nwp("--config", "shown.toml", "config", "show", "--json").result()

    found = tomllib.loads(shown.out)
    assert found["train"]["seed"] == 11
    assert found["train"]["skip_bad_lines"] is True
    assert found["train"]["tied"] is False
    assert found["train"]["epsilon"] == 1e-5
    assert found["train"]["held_out"] == 'it\'s \\ "Zoë"'
    assert found["train"]["refuse"] == ["a", "b"]
    assert _values(again) == _values(before)


def _values(shown: dict[str, dict[str, dict[str, object]]]) -> dict[str, dict[str, object]]:
    return {
        command: {key: setting["value"] for key, setting in settings.items()}
        for command, settings in shown.items()
    }


def test_config_show_lists_every_option_by_the_name_of_its_flag(nwp: Nwp) -> None:
    found = nwp("config", "show", "--json").result()

    assert set(found) == {
        "demo",
        "train",
        "evaluate",
        "compare",
        "query",
        "personalize",
        "suggest",
        "prompt",
        "serve",
        "bench",
    }
    for command, settings in found.items():
        help_text = nwp(command, "--help").out
        for key in settings:
            flag = f"--{key.replace('_', '-')}" if len(key) > 1 or command == "train" else f"-{key}"
            assert flag in help_text


@pytest.mark.parametrize(
    ("content", "messages"),
    [
        ("[train]\nronds = 3\n", ["`nwp train` has no option 'ronds'", "rounds"]),
        ("[train]\nout_folder = 'm'\n", ["`nwp train` has no option 'out_folder'"]),
        ("[train]\njson = true\n", ["`nwp train` has no option 'json'"]),
        ("[trian]\nrounds = 3\n", ["no command 'trian'", "train"]),
        ("rounds = 3\n", ["'rounds' stands outside a table", "[train]"]),
        ("[train\nrounds = 3\n", ["is no TOML", "line 1"]),
        ("[train]\nrounds = \xff", ["is no TOML"]),
    ],
    ids=["option", "parameter", "json", "command", "no-table", "broken", "not-utf8"],
)
@pytest.mark.parametrize("place", ["user", "project", "given"])
def test_a_mistake_in_a_settings_file_is_an_error_in_every_command_that_names_the_file(
    nwp: Nwp, user_file: Path, place: str, content: str, messages: list[str]
) -> None:
    path = {"user": user_file, "project": Path("nwp.toml"), "given": Path("x.toml")}[place]
    path.write_bytes(content.encode("latin-1"))
    given = ("--config", path) if place == "given" else ()

    for words in (("corpus", "list"), ("config", "show"), ("suggest", "see")):
        said = nwp(*given, *words, "--json").error("bad-settings")
        assert str(path) in said
        assert all(message in said for message in messages), said


def test_help_comes_in_spite_of_a_mistake_in_a_settings_file(nwp: Nwp) -> None:
    Path("nwp.toml").write_text("[train]\nronds = 3\n")

    done = nwp("train", "--help")

    assert done.code == 0
    assert "--rounds" in done.out


def test_a_settings_file_that_is_not_there_is_an_error(nwp: Nwp) -> None:
    said = nwp("--config", "nowhere.toml", "corpus", "list", "--json").error("bad-settings")

    assert "nowhere.toml" in said


@pytest.mark.parametrize("place", ["file", "environment"])
def test_a_value_of_the_wrong_kind_names_its_option(
    nwp: Nwp, corpus: Path, own_place: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    if place == "file":
        Path("nwp.toml").write_text('[train]\nrounds = "many"\n')
    else:
        monkeypatch.setenv("NWP_TRAIN_ROUNDS", "many")
    before = files_in(own_place)

    said = nwp("train", corpus, "--out", "m", *TINY, "--json").error("usage")

    assert "--rounds" in said
    assert files_in(own_place) == before
