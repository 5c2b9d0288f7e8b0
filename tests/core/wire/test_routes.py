import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsproxy.core.client_api.reading.server_api import ServerCall
from fsproxy.core.model import Route
from fsproxy.core.wire.rewrites import Rewrite
from fsproxy.core.wire.routes import Routes, normal_path, origin_form


def compiled(*, server_api: bool = True, rewrites: tuple[Rewrite, ...] = ()) -> Routes:
    return Routes.compile(
        page=("/rec/page",),
        bundle=("/rec/bundle", "/rec/bundle/v2"),
        event=("/rec/event",),
        socket=("/rec/sock",),
        direct_event="/client/event",
        direct_identify="/client/identify",
        direct_set_user_vars=None,
        server_api=server_api,
        rewrites=rewrites,
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
        ("GET", "/Rec//sock/", Route.SOCKET),
        ("POST", "/rec/sock", Route.OTHER),
        ("GET", "/rec/page", Route.OTHER),
        ("OPTIONS", "/rec/page", Route.OTHER),
        ("post", "/rec/page", Route.OTHER),
        ("POST", "/client/event", Route.DIRECT_EVENT),
        ("POST", "/client/identify", Route.DIRECT_IDENTIFY),
        ("POST", "/client/setUserVars", Route.OTHER),
        ("POST", "http://h.example/rec/page?a", Route.PAGE),
        ("POST", "*", Route.OTHER),
        ("POST", "", Route.OTHER),
        ("POST", "/rec/page2", Route.OTHER),
        ("POST", "/rec/page/x", Route.OTHER),
        ("POST", "/x/rec/page", Route.OTHER),
        ("POST", "/rec%20/page2", Route.OTHER),
        ("POST", "/%252572ec/page", Route.OTHER),
        ("POST", "/users/v1/individual/u%2F1/customvars", Route.SERVER_API),
        ("POST", "/users/v1/individual/me@x.example/customevent?a=b", Route.SERVER_API),
        ("POST", "/users/v1/individual/%20/customvars", Route.SERVER_API),
        ("POST", "/Users/v1/Individual//me/customvars;a", Route.SERVER_API),
        ("POST", "/users/v1/individual//customvars", Route.OTHER),
        ("POST", "/users/v1/individual/a/b/customvars", Route.OTHER),
        ("GET", "/users/v1/individual/a/customvars", Route.OTHER),
        ("POST", "/v2/events", Route.SERVER_API),
        ("POST", "/v2/users", Route.SERVER_API),
        ("POST", "/v2/events/batch", Route.SERVER_API),
        ("POST", "/v2/users/batch", Route.SERVER_API),
        ("POST", "/v2//events/batch/", Route.SERVER_API),
        ("POST", "/v2/users/1", Route.OTHER),
    ],
)
def test_a_route_is_known_by_method_and_path(method: str, target: str, route: Route) -> None:
    assert ROUTES.match(method, target).route is route


OTHER_SPELLINGS = [
    "/rec/%70age",
    "/x/../rec/./page",
    "/rec/x/%2e%2E/page",
    "/../rec/page",
    "/rec//page",
    "//rec/page",
    "///rec///page///",
    "//h.example/rec/page",
    "/\\h.example/rec/page",
    "/rec/page/",
    "/rec/page/.",
    "/REC/Page",
    "/rec/page;x=1",
    "/rec;a/page;b;c",
    "/rec%3bx/page",
    "/rec%2fpage",
    "/rec%2Fpage",
    "/rec\\page",
    "/rec%5cpage",
    "/rec%5Cpage%5c",
    "/rec/.;/page",
    "/rec/x/..;a=b/page",
    "/rec/x/.%2e/page",
    "/x//../rec/page",
    "/x/..//rec/page",
    "/rec/x//../../page",
    "/rec/page%20",
    "/rec/page+",
    "/rec/page%09",
    "/rec%20/%20page",
    "/rec/page%00",
    "/rec/page%00.html",
    "/rec/page%3fx",
    "/rec/page%23x",
    "/%72%65%63/%70%61%67%65",
    "/%2572ec/page",
    "/rec%252fpage",
    "/rec/%252e/page",
    "/rec/x%2fy/../page",
    "/rec/x/y%2f../../page",
    "/%72ec/x%2fy/../page",
    "/%72ec/x%5Cy/../page",
    "/rec/x//./../../page",
    "/rec/%252e%252e/../%70age",
    "/rec/pag%C5%BF/../page",
    "/rec/\udcff/../page",
    "/RE%E2%84%AA/../rec/page",
]


@pytest.mark.parametrize("path", OTHER_SPELLINGS)
def test_what_any_backend_could_take_for_a_capture_route_is_one(path: str) -> None:
    matched = ROUTES.match("POST", path + "?OrgId=o")
    assert (matched.route, matched.ambiguous) == (Route.PAGE, False)
    assert ROUTES.match("GET", path).route is Route.OTHER


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "post", "FETCH"])
def test_any_method_with_a_body_is_a_capture_request(method: str) -> None:
    for path in ("/rec/page", "/rec//page"):
        assert ROUTES.match(method, path, has_body=True).route is Route.PAGE
        assert ROUTES.match(method, path).route is Route.OTHER
    assert ROUTES.match(method, "/users/v1/individual/u/customvars", has_body=True).endpoint is ServerCall.CUSTOM_VARS


@pytest.mark.parametrize(
    "path",
    [
        "/rec/event%3f/../page",
        "/rec/event%2523/../bundle",
        "/v2/events%3f/../users/batch",
        "/rec/page%00/../bundle",
    ],
)
def test_a_path_that_two_backends_take_for_two_capture_routes_is_ambiguous(path: str) -> None:
    assert ROUTES.match("POST", path).ambiguous


def test_a_route_may_be_configured_in_any_spelling() -> None:
    routes = Routes.compile(
        page=("/My%20Relay/Page/",),
        bundle=("/b",),
        event=(),
        socket=(),
        direct_event=None,
        direct_identify=None,
        direct_set_user_vars=None,
        server_api=False,
    )
    for path in ("/My%20Relay/Page/", "/my%20relay/page", "/My Relay//Page"):
        assert routes.match("POST", path).route is Route.PAGE
    assert routes.match("POST", "//h.example/b").route is Route.BUNDLE


@pytest.mark.parametrize("target", ["/v2/events", "/users/v1/individual/a/customvars"])
def test_the_server_api_can_be_left_alone(target: str) -> None:
    assert compiled(server_api=False).match("POST", target).route is Route.OTHER


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


@settings(max_examples=200)
@given(st.text("/.%2eE5aA", max_size=24))
def test_normal_paths_hold_no_dot_segments(path: str) -> None:
    segments = normal_path("/" + path).split("/")
    assert segments[0] == ""
    assert not {".", ".."} & set(segments)
    ROUTES.match("POST", path)


@pytest.mark.parametrize(
    ("method", "target", "route"),
    [
        ("POST", "/relay/rec/page", Route.PAGE),
        ("POST", "/relay/rec/page?a=/rec/bundle", Route.PAGE),
        ("POST", "/relay/Rec//%70age", Route.PAGE),
        ("GET", "/relay/rec/sock", Route.SOCKET),
        ("GET", "/relay/rec/page", Route.OTHER),
        ("POST", "/relay/v2/events", Route.SERVER_API),
        # taken out of the middle, and a whole URL
        ("POST", "/rec/xxxpage", Route.PAGE),
        ("POST", "/other/client/event", Route.DIRECT_EVENT),
        # by its own name first, and no further than once
        ("POST", "/rec/bundle", Route.BUNDLE),
        ("POST", "/relay/relay/rec/page", Route.OTHER),
        ("POST", "/rec/pages", Route.OTHER),
    ],
)
def test_what_becomes_a_capture_route_on_its_way_up_is_one(method: str, target: str, route: Route) -> None:
    rules = [("/relay/", "/"), ("regex:xxx", ""), ("/other/", "https://b.example/"), ("/rec/bundle", "/rec/page")]
    routes = compiled(rewrites=tuple(Rewrite.compile(*rule) for rule in rules))
    assert routes.match(method, target).route is route
    assert ROUTES.match(method, target).route is (route if target == "/rec/bundle" else Route.OTHER)
