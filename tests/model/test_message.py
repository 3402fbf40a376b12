"""Sentences inside of sentences."""

from __future__ import annotations

from nftui.model.message import Message, ended, msg


def test_a_sentence_inside_of_another_is_translated_as_well() -> None:
    words = {"{id} is refused: {why}": "{id} bị từ chối: {why}", "no role {user}": "không có {user}"}
    found = msg("{id} is refused: {why}", id="x", why=msg("no role {user}", user="shop"))
    assert found.render(lambda text: words[text]) == "x bị từ chối: không có shop"
    assert str(found) == "x is refused: no role shop"
    stored = Message.from_json(found.as_json())
    assert str(stored) == str(found) and stored.args["why"] == "no role shop"


def test_one_full_stop_ends_a_sentence() -> None:
    assert str(ended(msg("it does not run"))) == "it does not run."
    assert str(ended(msg("It does not run."))) == "It does not run."
