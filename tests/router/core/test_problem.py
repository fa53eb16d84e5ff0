"""Findings are complete, ordered, bounded, and read as one line each."""

from __future__ import annotations

from router.core.document import Scalar
from router.core.problem import MAX_PROBLEMS, Code, Note, Problem, Report, closest, one_of, show


def place(line: int, column: int = 1) -> Scalar:
    return Scalar(None, line, column, "")


def test_a_problem_reads_as_file_line_column_what_and_instead() -> None:
    """The text is exactly `FILE:LINE:COL: what; instead`."""
    problem = Problem(3, 7, Code.BAD_VALUE, "what is wrong", "what to write", "conf/routes.yaml")
    assert "conf/routes.yaml:3:7: what is wrong; what to write" == str(problem)


def test_problems_come_in_the_order_of_the_file() -> None:
    """The order in which they were found does not matter."""
    report = Report()
    for line, column in ((9, 1), (2, 8), (2, 3)):
        report.problem(place(line, column), Code.BAD_VALUE, "w", "i")
    assert [(2, 3), (2, 8), (9, 1)] == [(problem.line, problem.column) for problem in report.problems()]


def test_problems_beyond_the_limit_are_counted() -> None:
    """A document of nothing but mistakes costs bounded memory, and says how many are not listed."""
    report = Report()
    for line in range(1, MAX_PROBLEMS + 6):
        report.problem(place(line), Code.BAD_VALUE, "w", "i")
    *listed, last = report.problems()
    assert MAX_PROBLEMS == len(listed)
    assert (Code.TOO_MANY, "there are 5 more problems than are listed") == (last.code, last.what)


def test_a_repeated_note_is_kept_once_with_its_count() -> None:
    """1,500 routes with one remark make one line; it stands at the first place."""
    report = Report("r")
    for line in (4, 5, 6):
        report.note(place(line), Code.NO_EFFECT, "w", "i")
    report.note(place(7), Code.NO_EFFECT, "other", "i")
    assert report.notes() == (
        Note(4, 1, Code.NO_EFFECT, "w (also in 2 more places)", "i", "r"),
        Note(7, 1, Code.NO_EFFECT, "other", "i", "r"),
    )


def test_shown_text_stays_on_one_line_and_is_cut() -> None:
    """What people wrote can neither break the line nor fill the screen."""
    assert r"'a\nb'" == show("a\nb")
    assert len(show("x" * 1000)) < 90


def test_the_closest_word_is_found_whatever_its_case() -> None:
    """A slip of the finger is recognised, an unrelated word is not."""
    assert "weight" == closest("Weigth", ["path", "weight"])
    assert closest("zebra", ["path", "weight"]) is None
    assert closest("w" * 10_000, ["weight"]) is None


def test_a_list_of_words_reads_like_a_sentence() -> None:
    """Commas, and `or` before the last."""
    assert ["", "a", "a or b", "a, b or c"] == [one_of([]), one_of(["a"]), one_of("ab"), one_of("abc")]
    assert one_of(map(str, range(30))).endswith("18, 19, ...")
