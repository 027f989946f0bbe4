"""The examples are in the language of their shell, where that is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_shell_can_read_it(shell: str) -> None:
    if not (program := shutil.which(shell)):
        pytest.skip(f"{shell} is not installed")
    done = subprocess.run(
        [program, "-n", EXAMPLES / f"nwp.{shell}"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("line", "word", "after"),
    [
        ("see you tom", "tomorrow", "see you tomorrow |"),
        ("see ", "you", "see you |"),
        ('say "word": "x" and se', "see", 'say "word": "x" and see |'),
        ("", "The", "The |"),
    ],
)
def test_bash_puts_the_word_in_the_line(tmp_path: Path, line: str, word: str, after: str) -> None:
    if not (bash := shutil.which("bash")):
        pytest.skip("bash is not installed")
    fake = tmp_path / "nwp"
    fake.write_text(
        "#!/bin/bash\nwhile IFS= read -r line; do\n"
        """  printf '{"context": "%s", "suggestions": [{"word": "%s", "probability": 0.4}]}\\n' """
        f'"${{line//\\"/\\\\\\"}}" \'{word}\'\ndone\n'
    )
    fake.chmod(0o700)
    script = (
        f'source "{EXAMPLES}/nwp.bash" 2>/dev/null; READLINE_LINE=$1 READLINE_POINT=${{#1}}; '
        '_nwp_suggest; printf "%s|" "${READLINE_LINE:0:READLINE_POINT}"'
    )
    done = subprocess.run(
        [bash, "-c", script, "-", line],
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.stdout == after


VSCODE = """
const items = [];
const settings = { command: [process.argv[1]], least: 0.3 };
const vscode = {
  workspace: { getConfiguration: () => ({ get: (name) => settings[name] }) },
  window: { showWarningMessage: (text) => console.log(`warning: ${text}`) },
  languages: { registerInlineCompletionItemProvider: (_, provider) => items.push(provider) },
  InlineCompletionItem: class { constructor(text, range) { Object.assign(this, { text, range }); } },
  Range: class { constructor(start, end) { this.span = [start.character, end.character]; } },
};
const { Module } = require("node:module");
const load = Module._load;
Module._load = (name, ...rest) => (name === "vscode" ? vscode : load(name, ...rest));
const extension = require(process.argv[2]);
extension.activate({ subscriptions: { push() {} } });
const at = (character) => ({ character, translate: (_, by) => at(character + by) });
(async () => {
  for (const text of process.argv.slice(3)) {
    const [before, after] = text.split("|");
    const document = { lineAt: () => ({ text: before + after }) };
    const found = await items[0].provideInlineCompletionItems(document, at(before.length), {}, {});
    console.log(JSON.stringify(found.map((item) => [item.text, item.range.span])));
  }
  extension.deactivate();
})();
"""


def vscode(program: Path, *texts: str) -> list[str]:
    """What the extension shows for texts with the cursor at "|", asked of a program."""
    if not (node := shutil.which("node")):
        pytest.skip("node is not installed")
    done = subprocess.run(
        [node, "-e", VSCODE, program, EXAMPLES / "vscode" / "extension.js", *texts],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def test_vscode_shows_the_word_in_place_of_the_half_typed_one(tmp_path: Path) -> None:
    fake = tmp_path / "nwp"
    fake.write_text(
        "#!/bin/bash\nwhile IFS= read -r line; do\n"
        """  if [ "$line" = "rare " ]; then p=0.2; else p=0.4; fi\n"""
        """  printf '{"context": "", "suggestions": [{"word": "tomorrow", "probability": %s}]}\\n' $p\n"""
        "done\n"
    )
    fake.chmod(0o700)
    shown = vscode(fake, "see you tom|", "see |", "rare |", "in the mid|dle of it", "é|")
    assert shown == [
        '[["tomorrow",[8,11]]]',
        '[["tomorrow",[4,4]]]',
        "[]",
        "[]",
        '[["tomorrow",[0,1]]]',
    ]


def test_vscode_tells_that_the_program_is_not_there_and_goes_on(tmp_path: Path) -> None:
    shown = vscode(tmp_path / "none", "see |")
    assert shown[0].startswith("warning: nwp can't be started")
    assert shown[1:] == ["[]"]
