"""The runner of the documentation notices what fails, and what is noted about pages is true."""

import subprocess
import sys
from pathlib import Path

import pytest

from docs_check import notes as notes_module
from docs_check import run as run_module
from docs_check.blocks import PageError, blocks, commands, installs
from docs_check.notes import Notes, check_all, plan, read
from docs_check.run import BlockError, run_page
from docs_check.table import table

ROOT = Path(__file__).parent.parent
PAGE = """# A page

```python
import fgrpo
shared = 6
```

- in a list

  ```sh
  cat > made.txt <<'END'
  fgrpo nothing \\
  END
  pip install '.[lab]'  # from a clone
  echo one && \\
    echo two
  ```

```text
not run
```

```python
print("seven", shared + 1, open("made.txt").read())
```
"""


@pytest.fixture
def page(tmp_path):
    """Write a page."""

    def write(text):
        file = tmp_path / "page.md"
        file.write_text(text)
        return file

    return write


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(run_module, "SECONDS", 20)
    return tmp_path / "out" / "page"


def log(folder):
    return folder.with_name(folder.name + ".log").read_text()


def test_nothing_noted_of_the_documentation_is_stale():
    check_all()


def test_blocks_run_in_order_in_one_folder_and_share_names(page, folder):
    ran = run_page(page(PAGE), Notes(), folder)
    said = log(folder)
    assert said.index("two") < said.index("seven 7 fgrpo nothing")
    assert "+ 16: echo two" in said  # under the page's line numbers
    assert [step.block.line for step in ran.steps] == [4, 11, 24]
    assert "pip" not in said
    printed = table([ran], installed=False)
    assert "pip install '.[lab]'" in printed
    assert "installation: `make docs-check` runs it" in printed
    assert "pip" not in table([ran], installed=True)


def test_the_folder_is_fresh_each_time(page, folder):
    text = "```sh\ntest ! -e left.txt\ntouch left.txt\n```\n"
    for _ in range(2):
        run_page(page(text), Notes(), folder)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("```sh\ntrue\nfalse\ntouch on\n```\n", r"page.md:3: exit code 1"),
        ("```sh\ntrue\necho a | grep b | cat\n```\n", r"page.md:3: exit code 1"),
        ("```sh\ntrue\nexit 3\n```\n", r"page.md:2: exit code 3"),
        ("# x\n\n```python\na = 1\n\nassert a == 2, 'so'\n```\n", "page.md:6: AssertionError: so"),
        ("# x\n\n```python\na = 1\nb = (\n```\n", "page.md:5: SyntaxError"),
        ("```python\nimport sys\nsys.exit(0)\n```\n", "page.md:3: SystemExit: 0"),
        ("```python\nimport os\nos._exit(4)\n```\n", "page.md:2: Python ended with 4"),
        ("```python\nprint('last words')\n1 / 0\n```\n", "(?s)page.md:3: Zero.*last words"),
    ],
)
def test_a_failing_block_is_told_with_its_line(page, folder, text, told):
    with pytest.raises(BlockError, match=told):
        run_page(page(text), Notes(), folder)
    assert not (folder / "on").exists()


@pytest.mark.parametrize(
    "text", ["```sh\nsleep 60 & sleep 60\n```\n", "```python\nimport time\ntime.sleep(60)\n```\n"]
)
def test_a_block_that_hangs_is_ended(page, folder, monkeypatch, text):
    monkeypatch.setattr(run_module, "SECONDS", 0.3)
    with pytest.raises(BlockError, match=r"page.md:2: not finished after 0.3 s"):
        run_page(page(text), Notes(), folder)


def test_notes_prepare_replace_leave_out_and_check(page, folder, tmp_path):
    file = tmp_path / "notes.py"
    file.write_text(
        "REPLACED = [(r'size=\\d+', 'size={small}')]\n"
        "NOT_RUN = {'^launch': 'a cluster'}\n"
        "def prepare():\n    return {'small': 3, 'given': [1, 2]}\n"
        "def check(names, printed):\n"
        "    assert names['size'] == 3 and 'size 3' in printed and names['wanted'] == 5, names\n"
    )
    text = (
        "```sh\nlaunch --far \\\n  --wide\necho size $((size=64))\n```\n"
        "```python\nsize=64\nwanted = sum(given) + {'a': 2}['a']\n```\n"
    )
    ran = run_page(page(text), read(file), folder)
    assert [len(step.left_out) for step in ran.steps] == [1, 0]
    assert "not run, line 2: launch --far" in (printed := table([ran], installed=False))
    assert "a cluster" in printed
    with pytest.raises(BlockError, match=r"notes.py: check\(\): AssertionError"):
        run_page(page(text.replace("+ {", "- {")), read(file), folder)
    file.write_text("NOT_RUN = {'^launch': 'a cluster'}\ndef prepare():\n    1 / 0\n")
    with pytest.raises(BlockError, match=r"notes.py: prepare\(\): ZeroDivisionError"):
        run_page(page(text), read(file), folder)


@pytest.mark.parametrize(
    ("noted", "told"),
    [
        (Notes(not_run={"^no such": "why"}), "nothing there matches NOT_RUN '.no such'"),
        (Notes(replaced=[("no such", "")]), "nothing there matches REPLACED 'no such'"),
        (Notes(not_run={"seven": "why"}, replaced=[("seven", "8")]), "matches REPLACED 'seven'"),
        (Notes(replaced=[("echo one", "echo\none")]), "changes the number of lines"),
    ],
)
def test_a_stale_note_is_refused(page, noted, told):
    with pytest.raises(PageError, match=told):
        plan(page(PAGE), noted)


def test_notes_of_no_page_are_refused(tmp_path, monkeypatch):
    (tmp_path / "gone.py").write_text("")
    monkeypatch.setattr(notes_module, "FOLDER", tmp_path)
    with pytest.raises(PageError, match=r"no page belongs to gone.py"):
        check_all()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("NOT_RUN = {'make': ''}", "NOT_RUN 'make': say why"),
        ("NOT_RUN = {'make': None}", "NOT_RUN 'make': say why"),
        ("NOTRUN = {'make': 'why'}", "NOTRUN: not known"),
    ],
)
def test_notes_without_a_reason_or_misspelt_are_refused(tmp_path, text, told):
    file = tmp_path / "notes.py"
    file.write_text(text)
    with pytest.raises(PageError, match=told):
        read(file)


def test_a_block_under_another_name_does_not_escape(page):
    with pytest.raises(PageError, match=r"page.md:3: ```bash: write ```sh"):
        blocks(page("# x\n\n```bash\nfalse\n```\n"))


def test_commands_keep_their_lines_together():
    code = "a \\\n  b\ncat <<END > f\nx\nEND\nc\n"
    assert list(commands(code)) == ["a \\\n  b\n", "cat <<END > f\nx\nEND\n", "c\n"]


@pytest.mark.parametrize(
    ("command", "is_one"),
    [
        ("pip install .", True),
        ("pip install '.[trl]'  # from a clone", True),
        ("pip install -c constraints.txt '.[trl,transformers]'", True),
        ("pip install --no-index --no-deps wheels/*.whl", False),
        ("pip install ./other", False),
        ("echo pip install .", False),
    ],
)
def test_installation_is_told_from_other_commands(command, is_one):
    assert installs(command) is is_one


PROGRAM = [sys.executable, ROOT / "tests" / "docs_check"]


def test_nothing_is_installed_over_an_environment_in_use():
    done = subprocess.run([*PROGRAM, "--install"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert f"{sys.prefix} has fgrpo already" in done.stderr


def test_the_program_fails_with_a_page(tmp_path, page):
    done = subprocess.run(
        [*PROGRAM, "--out", tmp_path / "out", page("```sh\nfalse\n```\n")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert "FAILED page.md:2: exit code 1" in done.stdout
    assert "1 of 1 pages failed" in done.stdout
