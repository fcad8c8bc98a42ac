import pytest

from search.urls import without_password


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://me:hush@host:5432/db", "postgresql://me:***@host:5432/db"),
        ("postgresql+psycopg://me:h/u@s:h@host/db", "postgresql+psycopg://me:***@host/db"),
        ("postgresql://host/db?user=me&password=hush", "postgresql://host/db?user=me&password=***"),
        ("http://:hush@host", "http://:***@host"),
        ("http://host:5000/path", "http://host:5000/path"),
        ("http://me@host:5000", "http://me@host:5000"),
        ("sqlite:////home/me/a b/mlflow.db", "sqlite:////home/me/a b/mlflow.db"),
        ("no route to http://me:hush@host/x (why?)", "no route to http://me:***@host/x (why?)"),
        ("", ""),
    ],
)
def test_no_password_is_shown_and_the_rest_stays(text: str, shown: str) -> None:
    assert without_password(text) == shown
