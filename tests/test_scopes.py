"""Security scopes: their grammar, their canonical form, and which covers which."""

import pytest

from auth.core.errors import MalformedScope
from auth.core.scopes import Scope


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("all:write", "all:write"),
        ("api", "all:write"),
        ("files.list_at-dir+x.9:READ", "files.list_at-dir+x.9:read"),
        ("Files:Write", "Files:write"),
        ("files:read:path!L2hvbWU=", "files:read:path!L2hvbWU="),
        ("files:read:b!Yg==,a!YQ==", "files:read:a!YQ==,b!Yg=="),
        ("files:read:empty!", "files:read:empty!"),
        ("files:read:k!w6k=", "files:read:k!w6k="),
    ],
)
def test_a_scope_has_one_canonical_form(text: str, canonical: str) -> None:
    assert str(Scope.parse(text)) == canonical
    assert str(Scope.parse(canonical)) == canonical


@pytest.mark.parametrize(
    "text",
    ["", ":", "a", "a:", ":read", "a:rw", "a:read:", "a:read:k", "a:read:!dg==", "a:read:k!dg", "a:read:k!dh==",
     "a:read:k!d g==", "a:read:k!_-8=", "a:read:k!/w==", "a:read:k!dg==,", "a:read:k!dg==,k!dg==", "a:read:k!dg==:x",
     ".a:read", "a.:read", "a..b:read", "a b:read", " a:read", "a:read ", "a:read\n", "a\n:read", "é:read",
     "a:r\u0435ad",     "a/b:read", "API", "api:read:", "a:read:ké!dg==", "a" * 1020 + ":read"],
)  # fmt: skip
def test_anything_else_is_malformed(text: str) -> None:
    with pytest.raises(MalformedScope):
        Scope.parse(text)


@pytest.mark.parametrize(
    ("asked", "held", "covered"),
    [
        ("files:read", "files:read", True),
        ("files:read", "files:write", True),
        ("files:write", "files:read", False),
        ("files:write", "all:write", True),
        ("files:write", "all:read", False),
        ("files:read", "all.anything:read", True),
        ("special:read", "all:write", False),
        ("special.x:read", "all:write", False),
        ("special.x:read", "special:write", True),
        ("all:write", "all:write", True),
        ("all:read", "files:write", False),
        ("files.list:read", "files:read", True),
        ("files:read", "files.list:read", False),
        ("files.a.b.c:read", "files.a:read", True),
        ("filesystem:read", "files:read", False),
        ("files.listing:read", "files.list:read", False),
        ("files:read:k!dg==", "files:read", True),
        ("files:read", "files:read:k!dg==", False),
        ("files:read:k!dg==", "files:read:k!dg==", True),
        ("files:read:k!dw==", "files:read:k!dg==", False),
        ("files:read:j!dg==", "files:read:k!dg==", False),
        ("files:read:k!dg==,l!dg==", "files:read:k!dg==", True),
        ("files:read:k!dg==", "files:read:k!dg==,l!dg==", False),
        ("files:read", "all:write:k!dg==", False),
    ],
)
def test_coverage(asked: str, held: str, covered: bool) -> None:
    assert Scope.parse(asked).covered_by(Scope.parse(held)) is covered
