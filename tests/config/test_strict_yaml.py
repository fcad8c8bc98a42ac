"""YAML that says something else than its writer meant is refused, with the fix."""

import math

import pytest

from search.config.strict_yaml import read_document, read_value
from search.errors import SpaceError

PLAIN = [
    ("1.0e-4", 1e-4),
    ("0.5", 0.5),
    (".5", 0.5),
    ("-3", -3),
    ("+3", 3),
    ("0", 0),
    ("1.0e+4", 1e4),
    (".inf", math.inf),
    ("true", True),
    ("False", False),
    ("mobilenet_v2", "mobilenet_v2"),
    ("'1e-4'", "1e-4"),
    ('"no"', "no"),
    ("'012'", "012"),
    ("12a", "12a"),
    ("null", None),
    ("", None),
    ("[1, a, [2.0]]", [1, "a", [2.0]]),
    ("{a: {b: 1}}", {"a": {"b": 1}}),
]
MEANT_OTHERWISE = [
    ("1e-4", 1e-4, "'1e-4' is text in YAML; write 1.0e-4"),
    ("3E5", 3e5, r"'3E5' is text in YAML; write 3.0e\+5"),
    ("1.e5", 1e5, r"'1.e5' is text in YAML; write 1.0e\+5"),
    ("2.5e3", 2.5e3, r"'2.5e3' is text in YAML; write 2.5e\+3"),
    ("no", False, "'no' means false in YAML; write false, or quote the word"),
    ("yes", True, "'yes' means true in YAML; write true, or quote the word"),
    ("On", True, "'On' means true in YAML; write true, or quote the word"),
    ("1_000", 1000, "'1_000' means 1000 in YAML; write 1000, or quote it"),
    ("1:30", 90, "'1:30' means 90 in YAML; write 90, or quote it"),
    ("012", 10, "'012' means 10 in YAML; write 10, or quote it"),
    ("0x1f", 31, "'0x1f' means 31 in YAML; write 31, or quote it"),
    ("2026-11-24", "2026-11-24", "'2026-11-24' is a date in YAML; quote it"),
    ("!mine 3", "3", "'3' cannot be read as what YAML takes it for; quote it"),
]


@pytest.mark.parametrize(("text", "value"), PLAIN)
def test_plain_values_are_read_as_they_stand(text: str, value: object) -> None:
    document = read_document(f"key: {text}\n", "a.yaml")

    assert document.mistakes == ()
    assert document.value == {"key": value}
    assert type(document.value["key"]) is type(value)


@pytest.mark.parametrize(("text", "meant", "what"), MEANT_OTHERWISE)
def test_what_yaml_reads_otherwise_is_told_with_line_and_fix(text: str, meant: object, what: str) -> None:
    document = read_document(f"# a comment\nkey:\n  inner: {text}\n", "a.yaml")

    assert document.value == {"key": {"inner": meant}}
    (mistake,) = document.mistakes
    with pytest.raises(SpaceError, match=rf"^a\.yaml, line 3: key\.inner: {what}\.$"):
        raise SpaceError(mistake)


@pytest.mark.parametrize(("text", "meant", "what"), MEANT_OTHERWISE)
def test_the_fix_that_is_told_is_accepted(text: str, meant: object, what: str) -> None:
    mistake = read_document(f"key: {text}\n", "a.yaml").mistakes[0]
    fixed = (
        mistake.rpartition("write ")[2].partition(",")[0].rstrip(".") if "write " in mistake else f"'{text}'"
    )

    assert read_document(f"key: {fixed}\n", "a.yaml").mistakes == ()


def test_a_repeated_key_is_told_with_both_lines() -> None:
    document = read_document("seed: 1\nfixed:\n  dropout: 0.1\n  dropout: 0.2\nseed: 2\n", "a.yaml")

    assert document.mistakes == (
        "a.yaml, line 4: fixed.dropout: stands here and on line 3; keep one of them.",
        "a.yaml, line 5: seed: stands here and on line 1; keep one of them.",
    )


def test_all_mistakes_of_a_document_are_told() -> None:
    document = read_document("a: 1e-4\nb: [no, {c: 2e5}]\na: 3\n", "a.yaml")

    assert len(document.mistakes) == 4


def test_every_key_and_item_knows_its_line() -> None:
    document = read_document("a: 1\nb:\n  c: [1,\n    2]\n", "a.yaml")

    assert document.line(("a",)) == 1
    assert document.line(("b", "c")) == 3
    assert document.line(("b", "c", "[1]")) == 4
    assert document.line(("b", "missing")) == 2
    assert document.line(("missing",)) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("study: a\n\tdata: b\n", r"^a\.yaml, line 2: is not valid YAML \(.*\); mend this line\.$"),
        ("study: {a\n", r"^a\.yaml, line 2: is not valid YAML"),
        ("study: a\n---\nstudy: b\n", r"^a\.yaml, line 2: is not valid YAML \(but found another document\)"),
        ("study: a\0\n", r"^a\.yaml: is no text \(character #x0000 stands in it\)"),
        ("", r"^a\.yaml: expected a mapping of keys to values, such as 'study: my_study'\.$"),
        ("- a\n", r"^a\.yaml: expected a mapping"),
        ("just words\n", r"^a\.yaml: expected a mapping"),
    ],
)
def test_what_is_no_yaml_or_no_mapping_is_refused(text: str, message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        read_document(text, "a.yaml")


def test_a_key_that_is_a_list_and_a_value_that_holds_itself_are_told() -> None:
    document = read_document("a: {[b]: c}\nd: &d {e: *d}\n", "a.yaml")

    assert document.mistakes == (
        "a.yaml, line 1: a: has a list or a mapping for a key; write a word.",
        "a.yaml, line 2: d.e: holds itself; write it out.",
    )


def test_a_value_alone_is_read_without_lines() -> None:
    assert read_value(("fixed", "head.lr"), "1.0e-3", "--set") == (1e-3, ())
    assert read_value(("fixed", "head.lr"), "1e-3", "--set") == (
        1e-3,
        ("--set: fixed.head.lr: '1e-3' is text in YAML; write 1.0e-3.",),
    )
    assert read_value(("free", "backbone"), "[a, b]", "--set") == (["a", "b"], ())
    assert read_value(("a",), "", "--set") == (None, ())
    with pytest.raises(SpaceError, match=r"^--set: free\.dropout: is not valid YAML"):
        read_value(("free", "dropout"), "{a", "--set")
