"""Lines of other files that are written like the one at a cursor."""

from __future__ import annotations

from typing import Any

import pytest

from dsassist.index import echo, nearby

CLIENT = """
    class Client:
        def __init__(self, url: str) -> None:
            self.url = url

        def fetch(self, path: str, *, timeout: float = 1.0) -> str: ...

        def close(self) -> None: ...
    """
USES = """
    from client import Client

    def close_all(clients: list[Client]) -> None:
        for client in clients:
            client.close()

    def load(client: Client, name: str) -> str:
        text = client.fetch(
            name,
            timeout=2.0,
        )
        return text
    """
HEAD = "from client import Client\n\n\ndef load_again(client: Client, name: str) -> str:\n"


@pytest.fixture
def ask(workspace: Any) -> Any:
    workspace.write({"client.py": CLIENT, "uses.py": USES})
    workspace.index.update()

    def asked(body: str, after: str = "\n    return text\n") -> Any:
        workspace.index.set_overlay("main.py", HEAD + body + after)
        return workspace.index.at_cursor("main.py", (HEAD + body).count("\n"), HEAD + body).used

    return asked


def test_uses_of_the_receivers_members(ask: Any) -> None:
    first, *others = ask("    text = client.")
    assert (first.path, first.name) == ("uses.py", "fetch")
    assert first.lines == ("text = client.fetch(", "    name,", "    timeout=2.0,", ")")
    assert [use.name for use in others] == ["close"]


def test_the_answer_stays_while_the_name_is_typed(ask: Any) -> None:
    assert len({ask("    text = client." + typed) for typed in ("", "f", "fe", "fetch")}) == 1


def test_what_other_files_say_now_counts(ask: Any, workspace: Any) -> None:
    before = ask("    text = client.")
    other = "from client import Client\n\n\ndef load(client: Client, name: str) -> str:\n    text = client.fetch('x')\n"
    workspace.index.set_overlay("uses.py", other + "    return text\n")
    after = ask("    text = client.")
    assert before != after
    assert [use.lines for use in after] == [("text = client.fetch('x')",)]


def test_calls_of_what_is_called(ask: Any, workspace: Any) -> None:
    workspace.write(
        {"made.py": "from client import Client\n\n\ndef made(name: str) -> str:\n    return Client(name)\n"}
    )
    workspace.index.update()
    [use] = ask("    return Client(")
    assert use.lines == ("return Client(name)",)


def test_a_receiver_that_nothing_is_known_of_is_found_by_its_name(ask: Any, workspace: Any) -> None:
    workspace.write({"more.py": "def f(strange):\n    strange.go(1)\n"})
    workspace.index.update()
    [use] = ask("    strange.")
    assert (use.name, use.lines) == ("go", ("strange.go(1)",))


def test_marks_of_a_merge_are_never_shown(ask: Any, workspace: Any) -> None:
    merging = USES.replace(
        "            name,\n", "<<<<<<< ours\n            name,\n=======\n            other,\n>>>>>>> theirs\n"
    )
    assert merging != USES
    workspace.write({"uses.py": merging})
    workspace.index.update()
    assert [use.name for use in ask("    text = client.")] == ["close"]


def test_all_members_of_a_large_class_are_looked_for(ask: Any, workspace: Any) -> None:
    methods = "".join(f"    def act_{n:03}(self) -> None: ...\n" for n in range(200))
    workspace.write({"large.py": f"class Large:\n{methods}"})
    use = "from large import Large\n\n\ndef load_again(client: Large, name: str) -> str:\n    text = client.act_199()\n"
    workspace.write({"use_of_it.py": use + "    return text\n"})
    workspace.index.update()
    workspace.index.set_overlay("main.py", use[: use.index("act_199")] + "\n    return text\n")
    [found] = workspace.index.at_cursor("main.py", 4, use[: use.index("act_199")]).used
    assert found.name == "act_199"


def test_of_many_uses_those_in_files_like_this_one_are_compared(ask: Any, workspace: Any) -> None:
    """Every file has the same line; only the last one has the cursor's surroundings too."""
    many = {
        f"a_{n:02}.py": "from client import Client\n\n\ndef other(client: Client) -> None:\n"
        f"    client.fetch('{n}')\n    client.close()\n"
        for n in range(60)
    }
    alike = f"{HEAD}    begin_loading(name)\n    client.fetch(name, timeout=wanted_time)\n    end_loading(name)\n"
    workspace.write({**many, "z.py": alike})
    workspace.index.update()
    used = ask("    begin_loading(name)\n    client.", "\n    end_loading(name)\n")
    assert used[0].lines == ("client.fetch(name, timeout=wanted_time)",)


def test_a_line_that_begins_alike_is_found_whatever_its_receiver_is(ask: Any, workspace: Any) -> None:
    workspace.write({"alike.py": f"{HEAD}    text = db.look_up(name)\n    return text\n"})
    workspace.index.update()
    [use] = ask("    text = db.")
    assert (use.path, use.name, use.lines) == ("alike.py", "look_up", ("text = db.look_up(name)",))


def test_lines_that_are_little_alike_and_comments_are_left_out(ask: Any, workspace: Any) -> None:
    far = "".join(f"line_{n} = {n}\n" for n in range(40))
    workspace.write({"far.py": f"{far}\nif line_1:\n    print('see', strange.go(1))\n{far}"})
    workspace.write(
        {"near.py": "def load_again(strange, name: str) -> str:\n    # strange.stay is no code\n    pass\n"}
    )
    workspace.index.update()
    assert ask("    strange.") == ()


@pytest.mark.parametrize(
    "body", ["    # client.", "    text = 'client.", "    text = ", "    client.nothing.", "    x."]
)
def test_nothing_where_nothing_is_used(ask: Any, body: str) -> None:
    assert ask(body) == ()


def test_large_files_and_files_that_are_gone_are_left_out(ask: Any, workspace: Any, monkeypatch: Any) -> None:
    for module in (echo, nearby):
        monkeypatch.setattr(module, "LARGEST", 2_000)
    workspace.write({"large.py": "from client import Client\n\nClient('x').fetch('y')\n" + "x = 1\n" * 500})
    workspace.index.update()
    (workspace.root / "uses.py").unlink()
    assert ask("    text = client.") == ()


def test_many_tiny_files_without_git(workspace: Any) -> None:
    """What all files of a large repository use leads nowhere, and is not looked for in all of them."""
    many = {
        f"part_{n // 100}/file_{n}.py": f"from client import Client\n\n\ndef job_{n}(c: Client):\n    c.close()\n"
        for n in range(1_000)
    }
    workspace.write({"client.py": CLIENT, "uses.py": USES, **many})
    workspace.index.update()
    read: list[str] = []
    text_of = workspace.index._text
    workspace.index._text = lambda path: read.append(path) or text_of(path)
    text = HEAD + "    text = client.\n"
    workspace.index.set_overlay("main.py", text)
    assert [use.path for use in workspace.index.at_cursor("main.py", 4, text[:-1]).used] == ["uses.py", "uses.py"]
    assert workspace.index.pieces_for("main.py", 4, text[:-1], "\n", 2_000)
    assert len(set(read)) < 60
