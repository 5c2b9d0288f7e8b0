from fsproxy.demo.answers import Sessions


def test_the_session_seen_longest_ago_is_forgotten_first() -> None:
    sessions = Sessions(limit=2)
    first, _ = sessions.of_page("", "u1")
    second, _ = sessions.of_page("", "u2")
    assert sessions.of_page(first.id, "u1") == (first, False)
    sessions.of_page("", "u3")
    assert sessions.of_page(first.id, "u1") == (first, False)
    assert sessions.of_page(second.id, "u2")[1] is True


def test_a_session_id_of_the_clients_own_making_is_not_taken_over() -> None:
    session, is_new = Sessions().of_page("made-by-the-client", "u1")
    assert is_new
    assert session.id != "made-by-the-client"


def test_ids_of_a_wrong_type_begin_a_session_of_a_new_user() -> None:
    session, is_new = Sessions().of_page(["x"], 7)
    assert is_new
    assert len(session.user) == 36
