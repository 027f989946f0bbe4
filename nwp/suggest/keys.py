"""The keys of the prompt that are not prompt_toolkit's own: they accept, hide and leave."""

from __future__ import annotations

from prompt_toolkit.filters import Condition
from prompt_toolkit.key_binding import (
    KeyBindings,
    KeyBindingsBase,
    KeyPressEvent,
    merge_key_bindings,
)

from nwp.suggest.composing import TIGHT, Draft, tighten
from nwp.suggest.editor import Editor
from nwp.suggest.session import SHOWN, Offer, is_command


def keys_of(editor: Editor) -> KeyBindingsBase:
    """All of them, over what the editor holds when one is pressed."""
    return merge_key_bindings([_accepting(editor), _showing(editor), _leaving(editor)])


def _accepting(editor: Editor) -> KeyBindings:
    """The keys that accept words and take them back, and those that fit what is typed to one."""
    keys = KeyBindings()
    at_end = Condition(lambda: editor.buffer.document.is_cursor_at_the_end)
    just_accepted = at_end & Condition(lambda: editor.draft.last(editor.buffer.text) is not None)

    for number in range(SHOWN):
        for name in (("escape", str(number + 1)), (f"f{number + 1}",)):

            @keys.add(*name, filter=at_end)
            def _pick(event: KeyPressEvent, number: int = number) -> None:
                offer = _seen(editor)
                if offer and number < len(offer.words):
                    editor.accept(offer.words[number])

    for whole in ("tab", "right", "end", "c-e", "c-f"):

        @keys.add(whole, filter=at_end)
        def _whole(event: KeyPressEvent) -> None:
            if _seen(editor):
                editor.accept(*editor.phrase())

    for one in (["escape", "right"], ["escape", "f"], ["c-right"]):

        @keys.add(*one, filter=at_end)
        def _one_word(event: KeyPressEvent) -> None:
            if _seen(editor):
                editor.accept(*editor.phrase()[:1])

    for back in (["c-z"], ["c-_"], ["escape", "backspace"]):

        @keys.add(*back, filter=just_accepted)
        def _take_back(event: KeyPressEvent) -> None:
            editor.take_back()

    for undo in ("c-z", "c-_"):

        @keys.add(undo, filter=~just_accepted, save_before=lambda event: False)
        def _undo(event: KeyPressEvent) -> None:
            editor.buffer.undo()

    @keys.add(" ", filter=just_accepted)
    def _space(event: KeyPressEvent) -> None:
        editor.draft = editor.draft.spent()  # typed from habit: the space is already there

    for mark in TIGHT:

        @keys.add(mark, filter=just_accepted)
        def _tighten(event: KeyPressEvent) -> None:
            editor.put(tighten(editor.buffer.text, event.data))

    return keys


def _seen(editor: Editor) -> Offer | None:
    """What is offered; a key that would accept what is hidden shows it instead."""
    if editor.hidden:
        editor.hidden = False
        return None
    return editor.waited()


def _showing(editor: Editor) -> KeyBindings:
    """The keys that hide suggestions and go through them."""
    keys = KeyBindings()
    offered = Condition(lambda: bool((offer := editor.shown()) and offer.words))
    more = Condition(lambda: bool((offer := editor.shown()) and offer.going))

    @keys.add("escape", filter=offered)
    def _hide(event: KeyPressEvent) -> None:
        editor.hidden = True
        editor.draft = editor.draft.spent()

    @keys.add("c-@", filter=more)
    def _next(event: KeyPressEvent) -> None:
        going = editor.offer.going
        editor.chosen = next((i for i in going if i > editor.chosen), going[0])
        editor.draft = editor.draft.spent()

    return keys


def _leaving(editor: Editor) -> KeyBindings:
    """The keys that end a message, clear it, or leave."""
    keys = KeyBindings()
    empty = Condition(lambda: not editor.buffer.text)

    @keys.add("escape", "enter")
    def _line(event: KeyPressEvent) -> None:
        editor.buffer.insert_text("\n")

    @keys.add("enter")
    def _end(event: KeyPressEvent) -> None:
        text = editor.buffer.text.rstrip()  # without the space that came with the last word
        editor.put(text)
        if text and not editor.session.off and not is_command(text):
            editor.buffer.append_to_history()
        event.app.exit(result=text)

    @keys.add("c-c", filter=~empty)
    @keys.add("<sigint>", filter=~empty)
    def _clear(event: KeyPressEvent) -> None:
        editor.put("")
        editor.draft = Draft()  # neither its characters nor its keys count

    @keys.add("c-c", filter=empty)
    @keys.add("<sigint>", filter=empty)
    @keys.add("c-d", filter=empty)
    def _leave(event: KeyPressEvent) -> None:
        event.app.exit(result=None)

    return keys
