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
