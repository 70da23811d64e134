"""What is quoted of other libraries' errors."""

import pytest

from fgrpo.errors import cause


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        ("no such file", "no such file"),
        ("", ""),
        ("  Not there. See 'https://a.b/c.d'.", "Not there"),
        ("See 'https://a.b/c.d' or v2.0 now\nOr ask.", "See 'https://a.b/c.d' or v2.0 now"),
        ("Is it there? Perhaps.", "Is it there?"),
        (f"{'word ' * 38}https://{'a' * 30}", f"{'word ' * 38}…"),
    ],
)
def test_the_cause_is_a_sentence_or_line_cut_between_words(text: str, quoted: str) -> None:
    assert cause(OSError(text)) == quoted
