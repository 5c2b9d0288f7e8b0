"""URLs and hosts as browsers know them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsproxy.core.matching.hosts import Url, UrlProblem, normalise_host, origin_host, parse_url

HOST, PORT, UNPARSEABLE = UrlProblem.HOST, UrlProblem.PORT, UrlProblem.UNPARSEABLE


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("http://localhost:9000/", Url("http", "localhost", 9000)),
        ("https://example.com", Url("https", "example.com", None)),
        ("https://example.com?x", Url("https", "example.com", None)),
        ("https://example.com#x", Url("https", "example.com", None)),
        ("HTTPS://Example.COM/", Url("https", "example.com", None)),
        ("https://example.com\\@evil.example/", Url("https", "example.com", None)),
        ("https://user:pass@example.com:8443/@x", Url("https", "example.com", 8443)),
        ("https://a@b@example.com/", Url("https", "example.com", None)),
        ("https://example.com:/", Url("https", "example.com", None)),
        ("https://example.com:65535/", Url("https", "example.com", 65535)),
        ("https://example.com:65536/", Url("https", "example.com", None, PORT)),
        ("https://example.com:0/", Url("https", "example.com", None, PORT)),
        ("https://example.com:80a/", Url("https", "example.com", None, PORT)),
        ("https://example.com:-1/", Url("https", "example.com", None, PORT)),
        ("https://example.com:443000/", Url("https", "example.com", None, PORT)),
        ("http://[2001:DB8:0::1]:80/", Url("http", "2001:db8::1", 80)),
        ("http://[::1]", Url("http", "::1", None)),
        ("http://[::1", Url("http", "", None, UNPARSEABLE)),
        ("http://[::1]x/", Url("http", "", None, UNPARSEABLE)),
        ("http://::1]/", Url("http", "", None, UNPARSEABLE)),
        ("http://2001:db8::1:80/", Url("http", "", None, UNPARSEABLE)),
        ("http://[::g]/", Url("http", "", None, HOST)),
        ("http://[fe80::1%25eth0]/", Url("http", "", None, HOST)),
        ("http://127.0.0.1/", Url("http", "127.0.0.1", None)),
        ("http://256.0.0.1/", Url("http", "", None, HOST)),
        ("http://1.2.3/", Url("http", "1.2.0.3", None)),
        ("http://0x7f.0x1/", Url("http", "127.0.0.1", None)),
        ("https://167838211/", Url("https", "10.1.2.3", None)),
        ("https://0xA010203:8443/", Url("https", "10.1.2.3", 8443)),
        ("https://012.1.2.3/", Url("https", "10.1.2.3", None)),
        ("https://10.1.515./", Url("https", "10.1.2.3", None)),
        ("https://10.66051/", Url("https", "10.1.2.3", None)),
        ("https://10.0x.0x.3/", Url("https", "10.0.0.3", None)),
        ("https://%31%30.1.2.3/", Url("https", "10.1.2.3", None)),
        ("https://\uff11\uff10.1.2.3/", Url("https", "10.1.2.3", None)),
        ("https://[::ffff:10.1.2.3]/", Url("https", "10.1.2.3", None)),
        ("https://[::FFFF:a01:203]:8443/", Url("https", "10.1.2.3", 8443)),
        ("https://[0:0:0:0:0:ffff:10.1.2.3]/", Url("https", "10.1.2.3", None)),
        ("https://[::10.1.2.3]/", Url("https", "::a01:203", None)),
        ("https://[fe80::1%25eth0]/", Url("https", "", None, HOST)),
        ("https://[10.1.2.3]/", Url("https", "", None, HOST)),
        ("https://%5b%3a%3a1%5d/", Url("https", "", None, HOST)),
        ("https://a%2fb.example/", Url("https", "", None, HOST)),
        ("https://256.1/", Url("https", "", None, HOST)),
        ("https://1.2.65536/", Url("https", "", None, HOST)),
        ("https://4294967296/", Url("https", "", None, HOST)),
        ("https://1.2.3.4.5/", Url("https", "", None, HOST)),
        ("https://09.1.2.3/", Url("https", "", None, HOST)),
        ("https://0xg.1/", Url("https", "", None, HOST)),
        ("https://a.1/", Url("https", "", None, HOST)),
        ("https://bücher.example/", Url("https", "xn--bcher-kva.example", None)),
        ("https://my_app.bücher.example/", Url("https", "my_app.xn--bcher-kva.example", None)),
        ("https://straße.example/", Url("https", "xn--strae-oqa.example", None)),
        ("https://x.中国/", Url("https", "x.xn--fiqs8s", None)),
        ("https://xn--90a3ac/", Url("https", "xn--90a3ac", None)),
        ("https:///path", Url("https", "", None, HOST)),
        ("https://", Url("https", "", None, HOST)),
        ("https:example.com", Url("https", "", None, HOST)),
        ("https://:443/", Url("https", "", None, HOST)),
        ("https://user@/", Url("https", "", None, HOST)),
        ("https://exa mple.com/", Url("https", "", None, HOST)),
        ("https://exa%6dple.com/", Url("https", "example.com", None)),
        ("https://a..example.com/", Url("https", "", None, HOST)),
        ("https://" + "a" * 64 + ".example.com/", Url("https", "", None, HOST)),
        ("https://" + "abcdefg." * 32 + "com/", Url("https", "", None, HOST)),
        ("https://" + "ü" * 100_000 + "/", Url("https", "", None, HOST)),
        ("https://\ud800.example/", Url("https", "", None, HOST)),
        ("file:///C:/index.html", Url("file", "", None)),
        ("about:blank", Url("about", "", None)),
        ("capacitor://localhost", Url("capacitor", "localhost", None)),
        ("app://./index.html", Url("app", "", None)),
        ("blob:https://example.com/1", Url("blob", "", None)),
        ("", Url("", "", None, UNPARSEABLE)),
        ("example.com/x", Url("", "", None, UNPARSEABLE)),
        ("//example.com/x", Url("", "", None, UNPARSEABLE)),
        ("/x", Url("", "", None, UNPARSEABLE)),
        (" https://example.com/", Url("", "", None, UNPARSEABLE)),
    ],
)
def test_urls(text: str, url: Url) -> None:
    assert parse_url(text) == url


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("https://example.com", "example.com"),
        ("http://localhost:9000", "localhost"),
        ("http://[::1]:9000", "::1"),
        ("null", None),
        (None, None),
        ("", None),
        ("file://", None),
        ("https://example.com:99999", None),
    ],
)
def test_the_host_of_an_origin(origin: str | None, host: str | None) -> None:
    assert origin_host(origin) == host


def test_the_short_way_and_the_long_way_agree() -> None:
    """A trailing dot sends an ordinary name down the long way."""
    for name in ("example.com", "a-b.c_d.example", "x" * 63 + ".com", "localhost", "xn--bcher-kva.example"):
        assert normalise_host(name) == normalise_host(name + ".") == name
        assert parse_url(f"https://{name}:8443/") == parse_url(f"https://{name}.:8443/")


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("::1", "::1"),
        ("[::1]", "::1"),
        ("2001:DB8:0::1", "2001:db8::1"),
        ("[::ffff:10.1.2.3]", "10.1.2.3"),
        ("::ffff:10.1.2.3", "10.1.2.3"),
        ("[::1", None),
        ("::1]", None),
        ("fe80::1%eth0", None),
        ("10.1.2.3", "10.1.2.3"),
        ("10.1.2.3.", "10.1.2.3"),
        # only in a page's URL, as a browser reads it
        ("10.1.2", None),
        ("0x7f.1", None),
        ("exa%6dple.com", None),
        ("a:b", None),
    ],
)
def test_a_host_in_a_configuration_is_an_address_or_a_name_as_it_stands(text: str, host: str | None) -> None:
    assert normalise_host(text) == host


@settings(max_examples=200)
@given(st.text(st.characters()))
def test_a_normalised_host_stays_as_it_is(text: str) -> None:
    host = normalise_host(text)
    if host is not None:
        assert host.isascii()
        assert normalise_host(host) == host


@settings(max_examples=200)
@given(st.text(st.characters()), st.sampled_from(["", "http://", "https://a", "http://[", "file:", "x://"]))
def test_no_text_raises(text: str, start: str) -> None:
    assert isinstance(parse_url(start + text), Url)


@pytest.mark.parametrize(
    ("scheme", "port"), [("http", 80), ("https", 443), ("ws", 80), ("wss", 443), ("ftp", 21), ("app", None)]
)
def test_a_url_without_a_port_has_its_schemes(scheme: str, port: int | None) -> None:
    assert parse_url(f"{scheme}://a.example/").effective_port == port
    assert parse_url(f"{scheme}://a.example:8080/").effective_port == 8080


@pytest.mark.parametrize(("length", "read"), [(1012, True), (1013, False)])
def test_a_host_is_looked_at_up_to_four_times_what_a_name_may_be_long(length: int, *, read: bool) -> None:
    """Soft hyphens are mapped to nothing, so a long text may be a short name."""
    assert normalise_host("\u00e9".ljust(length, "\u00ad")) == ("xn--9ca" if read else None)


def test_a_name_has_at_most_253_characters_and_a_label_63() -> None:
    labels = ".".join(["a" * 63] * 3)
    for last, good in (("b" * 61, True), ("b" * 62, False)):
        name = f"{labels}.{last}"
        assert (normalise_host(name) == name) is good
        assert (normalise_host(name.upper()) == name) is good
        assert (parse_url(f"https://{name}/").problem is None) is good
    assert normalise_host("a" * 64 + ".example") is None


def test_the_words_for_what_is_wrong_with_a_url_stand_in_audit_lines_and_stay() -> None:
    assert [each.value for each in UrlProblem] == ["unparseable", "host", "port"]
