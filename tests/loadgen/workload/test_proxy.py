import pytest

from loadgen.workload.proxy import Proxy


@pytest.mark.parametrize(
    ("text", "proxy"),
    [
        ("http://p", Proxy("http", "p", 3128)),
        (" http://P:8080/ ", Proxy("http", "p", 8080)),
        ("socks5://u%40x:p%3Aw@[::1]", Proxy("socks5", "::1", 1080, ("u@x", "p:w"))),
        ("socks5h://p:1", Proxy("socks5", "p", 1)),
    ],
)
def test_a_proxy_is_a_scheme_a_host_and_perhaps_who_asks(text, proxy):
    assert Proxy.parse(text) == proxy


@pytest.mark.parametrize(
    "text",
    ["", "p:3128", "https://p", "http://p/x", "http://p:x", "http://", "http://:x@p",
     "http://u:@p", "http://a%3Ab:c@p", "socks5://u:" + "x" * 256 + "@p"],
)  # fmt: skip
def test_what_is_no_proxy_is_refused_and_its_password_not_shown(text):
    with pytest.raises(ValueError, match="--proxy"):
        Proxy.parse(text)


def test_a_user_and_a_password_may_be_as_long_as_their_length_is_a_byte():
    longest = "x" * 255
    assert Proxy.parse(f"socks5://{longest}:{longest}@p").credentials == (longest, longest)
