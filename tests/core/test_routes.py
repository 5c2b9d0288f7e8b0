import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsproxy.core.model import Route
from fsproxy.core.routes import Routes, normal_path, origin_form


def compiled(*, server_api: bool = True) -> Routes:
    return Routes.compile(
        page=("/rec/page",),
        bundle=("/rec/bundle", "/rec/bundle/v2"),
        event=("/rec/event",),
        socket=("/rec/sock",),
        direct_event="/client/event",
        direct_identify="/client/identify",
        direct_set_user_vars=None,
        server_api=server_api,
    )


ROUTES = compiled()


@pytest.mark.parametrize(
    ("method", "target", "route"),
    [
        ("POST", "/rec/page", Route.PAGE),
        ("POST", "/rec/page?x=/../y", Route.PAGE),
        ("POST", "/rec/bundle?OrgId=o", Route.BUNDLE),
        ("POST", "/rec/bundle/v2", Route.BUNDLE),
        ("POST", "/rec/event", Route.EVENT),
        ("GET", "/rec/sock", Route.SOCKET),
        ("POST", "/rec/sock", Route.OTHER),
        ("GET", "/rec/page", Route.OTHER),
        ("OPTIONS", "/rec/page", Route.OTHER),
        ("post", "/rec/page", Route.OTHER),
        ("POST", "/client/event", Route.DIRECT_EVENT),
        ("POST", "/client/identify", Route.DIRECT_IDENTIFY),
        ("POST", "/client/setUserVars", Route.OTHER),
        ("POST", "/rec/%70age", Route.PAGE),
        ("POST", "/x/../rec/./page", Route.PAGE),
        ("POST", "/rec/x/%2e%2E/page", Route.PAGE),
        ("POST", "/../rec/page", Route.PAGE),
        ("POST", "http://h.example/rec/page?a", Route.PAGE),
        ("POST", "/rec%2Fpage", Route.OTHER),
        ("POST", "/rec/page/", Route.OTHER),
        ("POST", "//rec/page", Route.OTHER),
        ("POST", "/REC/page", Route.OTHER),
        ("POST", "*", Route.OTHER),
        ("POST", "", Route.OTHER),
        ("POST", "/users/v1/individual/u%2F1/customvars", Route.SERVER_API),
        ("POST", "/users/v1/individual/me@x.example/customevent?a=b", Route.SERVER_API),
        ("POST", "/users/v1/individual//customvars", Route.OTHER),
        ("POST", "/users/v1/individual/a/b/customvars", Route.OTHER),
        ("GET", "/users/v1/individual/a/customvars", Route.OTHER),
        ("POST", "/v2/events", Route.SERVER_API),
        ("POST", "/v2/users", Route.SERVER_API),
        ("POST", "/v2/events/batch", Route.SERVER_API),
        ("POST", "/v2/users/batch", Route.SERVER_API),
        ("POST", "/v2/users/1", Route.OTHER),
    ],
)
def test_a_route_is_known_by_method_and_equal_path(method: str, target: str, route: Route) -> None:
    assert ROUTES.match(method, target) is route


@pytest.mark.parametrize("target", ["/v2/events", "/users/v1/individual/a/customvars"])
def test_the_server_api_can_be_left_alone(target: str) -> None:
    assert compiled(server_api=False).match("POST", target) is Route.OTHER


@pytest.mark.parametrize(
    ("path", "normal"),
    [
        ("/a/b/c/./../../g", "/a/g"),
        ("/a/..", "/"),
        ("/a/.", "/a/"),
        ("/..", "/"),
        ("/.well-known/x", "/.well-known/x"),
        ("/a...b", "/a...b"),
        ("/%252e", "/%252e"),
        ("/%7euser%2f%zz%4", "/~user%2F%zz%4"),
    ],
)
def test_equal_paths_become_equal(path: str, normal: str) -> None:
    assert normal_path(path) == normal


@pytest.mark.parametrize(
    ("target", "origin"),
    [("/a?b", "/a?b"), ("https://h:1/a?b", "/a?b"), ("http://h", "/"), ("http://h?q", "/?q"), ("*", "*")],
)
def test_an_absolute_target_becomes_a_path(target: str, origin: str) -> None:
    assert origin_form(target) == origin


@settings(max_examples=200, deadline=None)
@given(st.text("/.%2eE5aA", max_size=24))
def test_normal_paths_hold_no_dot_segments(path: str) -> None:
    segments = normal_path("/" + path).split("/")
    assert segments[0] == ""
    assert not {".", ".."} & set(segments)
    ROUTES.match("POST", path)
