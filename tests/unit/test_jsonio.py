"""The strict JSON reader and the small writer."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.errors import ConfigError
from runtime.jsonio import MAX_DEPTH, dumps, join_path, loads, quote

ROOT = Path(__file__).resolve().parents[2]

# Finite floats of few characters: longer ones are refused on purpose.
documents = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=5)
    ),
    max_leaves=30,
)


@given(documents)
def test_reads_what_json_writes(value: object) -> None:
    assert loads(json.dumps(value)) == value
    assert loads(json.dumps(value, ensure_ascii=False, indent=3).encode()) == value


@given(documents)
def test_writes_what_json_reads(value: object) -> None:
    assert json.loads(dumps(value)) == value
    assert json.loads(dumps(value, indent="  ")) == value


@given(documents)
def test_layout_is_that_of_json(value: object) -> None:
    """Which is also that of Go's json.MarshalIndent for empty arrays and objects."""
    assert dumps(value, indent="\t", sort_keys=True) == json.dumps(
        value, ensure_ascii=False, indent="\t", sort_keys=True
    )
    assert dumps(value) == json.dumps(value, ensure_ascii=False, separators=(",", ":"))


@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda t: t.encode("utf-8", "replace")))
def test_any_bytes(data: bytes) -> None:
    """Arbitrary input gives a value or a ConfigError of one line, nothing else."""
    try:
        loads(data)
    except ConfigError as error:
        assert "\n" not in str(error)
        assert str(error).isprintable()


@given(st.text(alphabet='{}[]:,"\\u dDaA019.eE+-truefalsnNIity\n', max_size=60))
def test_any_tokens(text: str) -> None:
    """No more is accepted than the standard reader accepts."""
    try:
        value = loads(text)
    except ConfigError:
        return
    assert json.loads(text) == value


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not valid JSON: expected a value, found the end of the text (line 1 column 1)"),
        (b"{\n}\n}", "not valid JSON: expected the end, found more text (line 3 column 1)"),
        (b"[1,\n  2,\n]", "not valid JSON: trailing comma (line 2 column 4)"),
        (b'{"a": 1,}', "not valid JSON: trailing comma (line 1 column 8)"),
        (b"[1 2]", "not valid JSON: expected ',' delimiter (line 1 column 4)"),
        (b'{"a" 1}', "not valid JSON: expected ':' delimiter (line 1 column 6)"),
        (b"{a: 1}", "not valid JSON: expected property name in double quotes (line 1 column 2)"),
        (b'"abc', "not valid JSON: unterminated string (line 1 column 1)"),
        (b'"a\nb"', "not valid JSON: invalid control character (line 1 column 3)"),
        (b"[01]", "not valid JSON: expected ',' delimiter (line 1 column 3)"),
        (b"tru", "not valid JSON: expected a value (line 1 column 1)"),
        (b"\xef\xbb\xbf{}", "not valid JSON: begins with a byte order mark (line 1 column 1)"),
        (b'{\n"\xff": 1}', "not valid UTF-8: byte 0xff at line 2 column 2"),
        (b'{"a": [0, NaN]}', "a[1]: expected a number, found NaN, which is not JSON"),
        (b"-Infinity", "expected a number, found -Infinity, which is not JSON"),
        (b'{"a": {"b": [{"c": 1, "c": 2}]}}', "a.b[0].c: the key is given twice"),
        (b'{"a.b": {"c": 1, "c": 2}}', '["a.b"].c: the key is given twice'),
        (b'{"a": {"b": NaN}, "a": 1}', "a: the key is given twice"),
        (b"1" * 21, "expected a number of at most 20 digits, found one of 21"),
        (b"[1e999]", '[0]: expected a number that fits 64 bits, found "1e999"'),
        (b'["\\uD800"]', "[0]: expected Unicode text, found the lone surrogate 0xd800"),
        (b'{"a": {"\\udfff": 1}}', "a: expected Unicode text, found the lone surrogate 0xdfff"),
        (b"[" * 10**6, f"expected at most {MAX_DEPTH} levels of nesting, found more"),
    ],
    ids=lambda value: ascii(value)[:30],
)
def test_refused(data: bytes, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loads(data)

    assert str(caught.value) == message


@pytest.mark.parametrize("pair", [("[", "]"), ('{"a":', "}")])
def test_depth(pair: tuple[str, str]) -> None:
    """The limit is exact."""

    def nested(levels: int) -> str:
        return pair[0] * levels + ("1" if pair[0] != "[" else "") + pair[1] * levels

    loads(nested(MAX_DEPTH))
    with pytest.raises(ConfigError, match="levels of nesting"):
        loads(nested(MAX_DEPTH + 1))


def test_wide_is_not_deep() -> None:
    """More brackets than levels are allowed."""
    assert loads("[" + "[]," * 1000 + "[]]") == [[]] * 1001


def test_size() -> None:
    assert loads("[ ]", max_size=3) == []
    with pytest.raises(ConfigError, match="expected at most 3 bytes, found 4"):
        loads("[  ]", max_size=3)


def test_pairs_of_surrogates_are_text() -> None:
    assert loads(b'"\\ud83d\\ude00"') == "\U0001f600"


def test_decoded_text_keeps_surrogates() -> None:
    """A path that is not UTF-8 survives the way out and in again."""
    name = b"/bundle-\xff".decode("utf-8", "surrogateescape")

    data = dumps({"bundle": name}).encode("utf-8", "surrogateescape")

    assert loads(data.decode("utf-8", "surrogateescape")) == {"bundle": name}


def test_numbers_of_the_kernel() -> None:
    assert loads("[18446744073709551615, -9223372036854775808]") == [2**64 - 1, -(2**63)]


@pytest.mark.parametrize("value", [object(), b"bytes", {1, 2}])
@pytest.mark.parametrize("indent", [None, " "])
def test_no_json_form(value: object, indent: str | None) -> None:
    with pytest.raises(TypeError, match="no JSON form"):
        dumps([value], indent=indent)


def test_no_json_number() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        dumps([float("nan")])


def test_quote() -> None:
    assert quote("caf\u00e9") == '"caf\u00e9"'
    assert quote('a"b\n') == '"a\\"b\\n"'
    # An escape sequence or a change of writing direction must not reach a terminal.
    assert quote("\x9b31m\u202e") == '"\\u009b31m\\u202e"'
    assert quote("x" * 100, 10) == '"' + "x" * 9 + '\u2026"'


def test_join_path() -> None:
    assert join_path(("mounts", 3, "source")) == "mounts[3].source"
    assert join_path(("linux", "sysctl", "net.a")) == 'linux.sysctl["net.a"]'
    assert join_path(()) == ""


FRESH = """
import sys
sys.path.insert(0, {root!r})
from runtime import jsonio
from runtime.errors import ConfigError
assert jsonio.loads(b'{{"a": [1, 2.5, "x\\\\u00e9", null]}}') == {{"a": [1, 2.5, "x\\u00e9", None]}}
jsonio.dumps({{"a": [1]}}), jsonio.dumps({{"a": [1]}}, indent=" ")
assert not {{"json", "re", "enum", "functools", "collections"}} & set(sys.modules), "imports"
if {emptied}:
    sys.path[:] = []
    sys.path_hooks[:] = []
    sys.meta_path[:] = []
try:
    jsonio.loads(b'{{\\n"a": 1,,}}')
except ConfigError as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("emptied", "expected"),
    [
        (False, "not valid JSON: expected property name in double quotes (line 2 column 8)\n"),
        (True, "not valid JSON\n"),
    ],
)
def test_json_is_imported_for_a_position_only(emptied: bool, expected: str) -> None:
    """Nor is that import needed: with an emptied import system the position is left out."""
    program = FRESH.format(root=str(ROOT), emptied=emptied)

    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True, check=False
    )

    assert (done.stdout, done.stderr) == (expected, "")
