import pytest
from hypothesis import given
from hypothesis import strategies as st

from echo_trio import cli
from echo_trio.config_file import Unreadable, read


@pytest.fixture
def config(tmp_path):
    """Writes a file of settings."""

    def write(content):
        path = tmp_path / "echo.toml"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def test_settings_are_read_whatever_their_texts_and_comments_look_like(config):
    text = '''\ufeff# [[[[[[[[[[[[ a.b.c.d.e.f.g.h.i.j
port = 9000
origin = ["https://a.b.c.d.e.f.g.h.i.j.k", 'http://[::1]', """
]]]]]]]]]]]]]]]]]"""]
console-token = "123456789012345678901234567890123456789012345678901234567890"
'''
    settings = read(config(text))
    assert settings["port"] == 9000
    assert len(settings["origin"]) == 3
    assert len(settings["console-token"]) == 60


@pytest.mark.parametrize(
    ("content", "says"),
    [
        pytest.param("a = " + "[" * 20_000, "line 1 is nested too deep", id="brackets"),
        pytest.param("\na = " + "{b=" * 2_000, "line 2 is nested too deep", id="tables"),
        pytest.param("a." * 20_000 + "b = 1", "a key of too many names", id="a-key-of-dots"),
        pytest.param("[" + "a . " * 5_000 + "b]", "a key of too many names", id="a-heading"),
        pytest.param('"".' * 9_000 + "b = 1", "a key of too many names", id="quoted-names"),
        pytest.param("port = " + "9" * 5_000, "a number or name that is too long", id="digits"),
        pytest.param("port = 0x" + "f" * 5_000, "a number or name that is too long", id="hex"),
        pytest.param("a" * 70_000, "it is larger than 64 KiB", id="long"),
        pytest.param("port 8000", "is no TOML: Expected", id="no-toml"),
        pytest.param("day = 2000-13-40", "is no TOML", id="no-date"),
        pytest.param("a = 1".encode("utf-16"), "it is UTF-16 text", id="utf-16"),
        pytest.param(b"a = '\xe9'", "0xe9, that is not UTF-8", id="latin-1"),
        pytest.param(r'"\u001b[2J" = 1', r"\x1b[2j in ", id="escape-sequences"),
    ],
)
def test_what_no_server_has_as_settings_is_one_line(config, capsys, content, says):
    path = config(content)
    assert cli.main(["--config", str(path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.isprintable()
    assert says.lower() in line.lower()
    assert str(path) in line


@pytest.mark.parametrize("path", ["/dev/zero", "/", "missing"])
def test_what_is_no_file_is_one_line(capsys, path):
    assert cli.main(["--config", path]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"echo_trio: can't read {path}: ")


@given(st.text(st.sampled_from("[]{}=.,\"'#\\\n ab1_-:T+"), max_size=200))
def test_no_text_is_a_traceback(tmp_path_factory, text):
    path = tmp_path_factory.getbasetemp() / "fuzzed.toml"
    path.write_text(text)
    try:
        assert isinstance(read(path), dict)
    except Unreadable as exc:
        assert str(path) in str(exc)  # noqa: PT017


@pytest.mark.parametrize(
    ("content", "fits"),
    [
        pytest.param("a = " + "[" * 8 + "]" * 8, True, id="as-deep-as-may-be"),
        pytest.param("a = " + "[" * 9 + "]" * 9, False, id="deeper"),
        pytest.param("a = [" + "[], " * 20 + "]", True, id="one-after-the-other"),
        pytest.param("a." * 7 + "b = 1", True, id="as-many-names"),
        pytest.param("a." * 8 + "b = 1", False, id="more-names"),
        pytest.param("a = " + "9" * 32, True, id="as-many-digits"),
        pytest.param("a = " + "9" * 33, False, id="more-digits"),
        pytest.param("#" * (64 * 1024), True, id="as-long"),
        pytest.param("#" * (64 * 1024 + 1), False, id="longer"),
    ],
)
def test_a_file_may_be_as_large_as_its_bounds_and_no_larger(config, content, fits):
    if fits:
        assert isinstance(read(config(content)), dict)
    else:
        with pytest.raises(Unreadable):
            read(config(content))


def test_the_line_that_is_too_much_is_counted_from_one(config):
    for before in range(3):
        with pytest.raises(Unreadable, match=f"line {before + 1} has a key"):
            read(config("#\n" * before + "a." * 9 + "b = 1"))
