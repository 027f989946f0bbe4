from __future__ import annotations

import tempfile
import zipfile
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from reading import said, takes

from nwp.corpus.lines import decode
from nwp.corpus.readers.base import ReadOptions
from nwp.corpus.readers.whatsapp.reader import READER
from nwp.corpus.source import open_source
from nwp.corpus.types import Message, Tally
from nwp.errors import NwpError

LRM, RLM, NARROW = "\u200e", "\u200f", "\u202f"


def read(path: Path, tally: Tally | None = None, **options: object) -> list[Message]:
    tally = tally or Tally()
    chosen = ReadOptions(**options)  # type: ignore[arg-type]
    with open_source(path, tally) as source:
        assert READER.recognises(source)
        return list(READER.read(source, tally, chosen))


def chat(folder: Path, *lines: str, tally: Tally | None = None, **options: object) -> list[Message]:
    path = folder / "chat.txt"
    path.write_text("\n".join(lines), encoding="utf-8", newline="")
    return read(path, tally, **options)


# Headers as phones write them: that of 31 December 2020, 23:05:09, and of 7 January 2021, 00:30:00.
HEADERS = {
    "Android, English (US)": ("12/31/20, 11:05 PM - ", "1/7/21, 12:30 AM - "),
    "Android, English (US), narrow space": (
        f"12/31/20, 11:05{NARROW}PM - ",
        f"1/7/21, 12:30{NARROW}AM - ",
    ),
    "Android, English (India)": ("31/12/20, 11:05 pm - ", "07/01/21, 12:30 am - "),
    "Android, English (UK)": ("31/12/2020, 23:05 - ", "07/01/2021, 00:30 - "),
    "Android, English (Canada)": ("2020-12-31, 11:05 p.m. - ", "2021-01-07, 12:30 a.m. - "),
    "Android, English (South Africa)": ("2020/12/31, 11:05 pm - ", "2021/01/07, 12:30 am - "),
    "Android, parts of the day": ("31/12/2020, 11:05 at night - ", "07/01/2021, 12:30 at night - "),
    "Android, German": ("31.12.20, 23:05 - ", "07.01.21, 00:30 - "),
    "Android, German with a word": ("31.12.20 um 23:05 - ", "07.01.21 um 00:30 - "),
    "Android, Spanish": ("31/12/20 23:05 - ", "7/1/21 0:30 - "),
    "Android, Spanish (Mexico)": ("31/12/2020, 11:05 p. m. - ", "07/01/2021, 12:30 a. m. - "),
    "Android, French": ("31/12/2020 à 23:05 - ", "07/01/2021 à 00:30 - "),
    "Android, Dutch": ("31-12-20 23:05 - ", "07-01-21 00:30 - "),
    "Android, Dutch with a comma": ("31-12-2020, 23:05 - ", "07-01-2021, 00:30 - "),
    "Android, Swedish": ("2020-12-31 23:05 - ", "2021-01-07 00:30 - "),
    "Android, Finnish": ("31.12.2020 klo 23.05 - ", "7.1.2021 klo 0.30 - "),
    "Android, Danish": ("31.12.2020 23.05 - ", "07.01.2021 00.30 - "),
    "Android, Indonesian": ("31/12/20 23.05 - ", "07/01/21 00.30 - "),
    "Android, Hungarian": ("2020. 12. 31. 23:05 - ", "2021. 01. 07. 0:30 - "),
    "Android, Hungarian, 12 hours": ("2020. 12. 31. du. 11:05 - ", "2021. 01. 07. de. 12:30 - "),
    "Android, Bulgarian": ("31.12.2020 г., 23:05 - ", "07.01.2021 г., 0:30 - "),
    "Android, Korean": ("2020. 12. 31. 오후 11:05 - ", "2021. 1. 7. 오전 12:30 - "),
    "Android, Chinese": ("2020/12/31 下午11:05 - ", "2021/1/7 上午12:30 - "),
    "Android, Chinese, night": ("2020/12/31 晚上11:05 - ", "2021/1/7 凌晨12:30 - "),
    "Android, Japanese": ("2020/12/31 23:05 - ", "2021/01/07 0:30 - "),
    "Android, Japanese, 12 hours": ("2020/12/31 午後11:05 - ", "2021/01/07 午前0:30 - "),
    "Android, Turkish": ("31.12.2020 11:05 ÖS - ", "07.01.2021 12:30 ÖÖ - "),
    "Android, Greek": ("31/12/20, 11:05 μ.μ. - ", "7/1/21, 12:30 π.μ. - "),
    "Android, Hindi": ("31/12/20, 11:05 अपराह्न - ", "7/1/21, 12:30 पूर्वाह्न - "),
    "Android, Arabic": ("٣١/١٢/٢٠٢٠, ١١:٠٥ م - ", "٠٧/٠١/٢٠٢١, ١٢:٣٠ ص - "),
    "Android, Persian digits": ("۲۰۲۰/۱۲/۳۱،\u200f ۲۳:۰۵ - ", "۲۰۲۱/۱/۷،\u200f ۰:۳۰ - "),
    "Android, Devanagari digits": ("३१/१२/२०, ११:०५ PM - ", "७/१/२१, १२:३० AM - "),
    "Android, Vietnamese": ("31/12/20, 11:05 CH - ", "07/01/21, 12:30 SA - "),
    "Android, 2013": ("23:05, 31 Dec 2020 - ", "00:30, 7 Jan 2021 - "),
    "Android, 2014": ("31 Dec 2020 23:05 - ", "7 Jan 2021 00:30 - "),
    "Android, 2015, American": ("Dec 31, 2020, 11:05 PM - ", "Jan 7, 2021, 12:30 AM - "),
    "Android, 2015, Spanish": ("31 de dic. de 2020 23:05 - ", "7 de ene. de 2021 0:30 - "),
    "no dash": ("31/12/2020, 23:05: ", "07/01/2021, 00:30: "),
    "brackets without a comma": ("[12/31/20 23:05] ", "[01/07/21 00:30] "),
    "underscore": ("12/31/20, 11:05_PM - ", "1/7/21, 12:30_AM - "),
}
WITH_SECONDS = {
    "old iPhone": ("31/12/2020 23:05:09: ", "07/01/2021 00:30:00: "),
    "old iPhone, comma": ("31/12/20, 23:05:09: ", "7/1/21, 00:30:00: "),
    "old iPhone, American": ("12/31/20, 11:05:09 PM: ", "1/7/21, 12:30:00 AM: "),
    "iPhone, English (UK)": ("[31/12/2020, 23:05:09] ", "[07/01/2021, 00:30:00] "),
    "iPhone, English (US)": ("[12/31/20, 11:05:09 PM] ", "[1/7/21, 12:30:00 AM] "),
    "iPhone, narrow space": (f"[12/31/20, 11:05:09{NARROW}PM] ", f"[1/7/21, 12:30:00{NARROW}AM] "),
    "iPhone, German": ("[31.12.20, 23:05:09] ", "[07.01.21, 00:30:00] "),
    "iPhone, German, 12 hours": ("[31.12.20, 11:05:09 PM] ", "[07.01.21, 12:30:00 AM] "),
    "iPhone, French": ("[31/12/2020 23:05:09] ", "[07/01/2021 00:30:00] "),
    "iPhone, Finnish": ("[31.12.2020 klo 23.05.09] ", "[7.1.2021 klo 0.30.00] "),
    "iPhone, Canadian": ("[2020-12-31, 11:05:09 PM] ", "[2021-01-07, 12:30:00 AM] "),
    "iPhone, ISO": ("[2020-12-31, 23:05:09] ", "[2021-01-07, 00:30:00] "),
    "iPhone, slashes": ("[2020/12/31, 23:05:09] ", "[2021/1/7, 00:30:00] "),
    "iPhone, Chinese": ("[2020/12/31 下午11:05:09] ", "[2021/1/7 上午12:30:00] "),
    "iPhone, Vietnamese": ("[23:05:09, 31/12/20] ", "[00:30:00, 07/01/21] "),
    "iPhone, Thai": ("[31/12/2563 23:05:09] ", "[7/1/2564 00:30:00] "),
    "iPhone, Buddhist years": ("[12/31/2563 BE, 23:05:09] ", "[1/7/2564 BE, 00:30:00] "),
    "iPhone, two digits of Buddhist years": ("[31/12/63, 23:05:09] ", "[7/1/64, 00:30:00] "),
    "iPhone, Japanese years": ("[12/31/R2, 23:05:09] ", "[1/7/R3, 00:30:00] "),
    "iPhone, Arabic": (
        "[٣١\u200f/١٢\u200f/٢٠٢٠، ١١:٠٥:٠٩\u00a0م] ",
        "[٧\u200f/١\u200f/٢٠٢١، ١٢:٣٠:٠٠\u00a0ص] ",
    ),
    "iPhone, Arabic, other digits": (
        "[\u200f31\u200f/12\u200f/2020، 23:05:09] ",
        "[\u200f7\u200f/1\u200f/2021، 00:30:00] ",
    ),
}
ALL_HEADERS = {**HEADERS, **WITH_SECONDS}


@pytest.mark.parametrize("name", ALL_HEADERS)
@pytest.mark.parametrize("mark", ["", LRM, "\ufeff"])
def test_headers_of_every_phone_are_read(tmp_path: Path, name: str, mark: str) -> None:
    first, second = ALL_HEADERS[name]
    found = chat(tmp_path, f"{mark}{first}Ann: hello", "", "you", f"{second}Ben B: 10:30: ok?")
    assert found == [
        Message("Ann", "hello\n\nyou", datetime(2020, 12, 31, 23, 5, 9 * (name in WITH_SECONDS))),
        Message("Ben B", "10:30: ok?", datetime(2021, 1, 7, 0, 30)),
    ]


@pytest.mark.parametrize(
    ("dates", "clock", "wanted", "order"),
    [
        (["1/2/21", "13/2/21"], "10:00", "", "dmy"),
        (["1/2/21", "2/13/21"], "10:00", "", "mdy"),
        (["1/2/21", "2/2/21", "1/3/21"], "10:00", "", "dmy"),
        (["1/30/21", "2/1/21", "2/3/21"], "10:00", "", "mdy"),
        (["1/2/21", "1/3/21", "2/1/21"], "10:00", "", "mdy"),
        (["1/2/21", "1/2/21"], "10:00", "", "dmy"),
        (["1/2/21", "1/2/21"], "10:00 AM", "", "mdy"),
        (["1.2.21", "1.2.21"], "10:00 AM", "", "dmy"),
        (["1/2/21", "1/2/21"], "10:00 AM", "dmy", "dmy"),
        (["1/2/21", "1/2/21"], "10:00", "mdy", "mdy"),
        (["10/2/11", "10/2/12"], "10:00", "ymd", "ymd"),
        (["19/11/30", "20/01/02"], "10:00", "", "ymd"),
        (["2021/3/4", "2021/4/3"], "10:00", "dmy", "ymd"),
        (["3/4/2021", "4/4/2021"], "10:00", "ymd", "dmy"),
        (["1/13/21", "1/2/21", "1/3/21", "40/40/21"], "10:00", "", "mdy"),
    ],
)
def test_the_order_of_a_dates_parts_is_found_out(
    tmp_path: Path, dates: list[str], clock: str, wanted: str, order: str
) -> None:
    found = chat(tmp_path, *(f"{d}, {clock} - Ann: hi" for d in dates), dates=wanted)
    for date, message in zip(dates, found, strict=True):
        numbers = dict(zip(order, map(int, date.replace(".", "/").split("/")), strict=True))
        if numbers["m"] > 12:
            assert message.time is None
        else:
            year = numbers["y"] + 2000 * (numbers["y"] < 100)
            assert message.time == datetime(year, numbers["m"], numbers["d"], 10)


@pytest.mark.parametrize(
    "header",
    ["31/12/20, 25:10 - ", "31/12/20, 13:10 AM - ", "99/99/99, 10:10 - ", "1399/10/11, 23:05 - "],
)
def test_a_date_that_makes_no_sense_loses_the_time_only(tmp_path: Path, header: str) -> None:
    tally = Tally()
    assert chat(tmp_path, f"{header}Ann: hi", tally=tally) == [Message("Ann", "hi")]
    assert sum(tally.remarks.values()) == 1


def test_headers_without_a_year_lose_the_time_only(tmp_path: Path) -> None:
    for header in ("[12/31, 11:05 PM] ", "31 Dec 23:05 - ", "23:05, 31 Dec - "):
        assert chat(tmp_path, f"{header}Ann: hi") == [Message("Ann", "hi")]


def test_styles_may_be_mixed_each_with_an_order_of_its_own(tmp_path: Path) -> None:
    found = chat(
        tmp_path,
        "[31.12.20, 23:05:09] Ann: one",
        "1/7/21, 12:30 AM - Ben: two",
        "1/20/21, 12:30 AM - Ben: three",
        "[2021/5/4, 10:00:00] Ann: four",
    )
    assert [(m.text, m.time) for m in found] == [
        ("one", datetime(2020, 12, 31, 23, 5, 9)),
        ("two", datetime(2021, 1, 7, 0, 30)),
        ("three", datetime(2021, 1, 20, 0, 30)),
        ("four", datetime(2021, 5, 4, 10)),
    ]


@pytest.mark.parametrize(
    "quoted",
    [
        "2/11/19: Arrival",
        "1.2.2019 10:00",
        "[1.2.2019, 00:00:00] Ben: from another chat",
        "[2/2, 19:14] Ben: copied",
        "2/11/19, 14:48 Ben: without a dash",
        "12/12/19, around 10:30 - Ben: or later",
        "10:30, 4 people - room 3: reserved",
    ],
)
def test_a_rare_line_like_a_header_is_part_of_the_message(tmp_path: Path, quoted: str) -> None:
    usual = [f"[0{n % 9 + 1}.02.19, 10:00:00] Ann: hi" for n in range(12)]
    found = chat(tmp_path, *usual, quoted, "so", *usual)
    assert len(found) == 24
    assert found[11].text == f"hi\n{quoted}\nso"


def body(
    folder: Path, text: str, *, phone: str = "android", again: int = 1
) -> tuple[list[str], Tally]:
    """What is read of one text, and what was counted."""
    tally = Tally()
    mark, head, tail = {
        "android": ("", "31/12/2020, 23:05 - ", ""),
        "iphone": ("", "[31/12/2020, 23:05:09] ", ""),
        "marked": (LRM, "[31/12/2020, 23:05:09] ", ""),
        "arabic": (RLM, "[31\u200f/12\u200f/2020, 23:05:09] ", ""),
    }[phone]
    found = chat(folder, f"{head}Ann: hi", *[f"{mark}{head}Ben: {text}{tail}"] * again, tally=tally)
    assert found[0].text == "hi"
    return [message.text for message in found[1:]], tally


@pytest.mark.parametrize(
    ("text", "phone"),
    [
        *[
            (text, "android")
            for text in (
                "<Media omitted>",
                "<Medien ausgeschlossen>",
                "<Multimedia omitido>",
                "<Médias omis>",
                "<Media omessi>",
                "<Mídia oculta>",
                "<Arquivo de mídia oculto>",
                "<Ficheiro não revelado>",
                "<Media weggelaten>",
                "<Без медиафайлов>",
                "<Медіа пропущено>",
                "<Pominięto multimedia>",
                "<Média vynechány>",
                "<Medya dahil edilmedi>",
                "<Media tidak disertakan>",
                "<Media utelämnat>",
                "<Mediefil udeladt>",
                "<Uten vedlegg>",
                "<Media jätettiin pois>",
                "<Hiányzó médiafájl>",
                "<Conținut media omis>",
                "<Εξαίρεση πολυμέσων>",
                "<המדיה לא נכללה>",
                "<تم استبعاد الوسائط>",
                "<मीडिया छोड़ा गया>",
                "<Bỏ qua tệp phương tiện>",
                "<ไฟล์สื่อถูกลบ>",
                "<メディアなし>",
                "<미디어 파일 제외됨>",
                "<忽略多媒體檔>",
                "<省略多媒体文件>",
                "<image omitted>",
                "<Media omitted>\nNotes.pdf",
                "IMG-20201231-WA0001.jpg (file attached)",
                f"{LRM}IMG-20201231-WA0001.jpg (Datei angehängt)",
                "Ann B.vcf (archivo adjunto)",
                "My plan.docx (fichier joint)",
                f"{LRM}VID-20201231-WA0001.mp4 (words nobody knows)",
                "location: https://maps.google.com/?q=51.5,-0.12",
                "Standort: https://maps.google.com/?q=51.5,-0.12",
                "image omitted",
                "Bild weggelassen",
                "画像は含まれていません",
            )
        ],
        (f"{LRM}<attached: 00000012-PHOTO-2020-12-31-23-05-09.jpg>", "marked"),
        (f"{LRM}<angehängt: 00000012-PHOTO-2020-12-31-23-05-09.jpg>", "marked"),
        ("<attached: 00000012-PHOTO-2020-12-31-23-05-09.jpg>", "iphone"),
        (f"00000012-PHOTO-2020.jpg <{LRM}attached>", "iphone"),
        (f"Plan.pdf • {LRM}2 pages {LRM}<adjunto: 00000013-Plan.pdf>", "marked"),
        (f"Plan.pdf • {LRM}2 pages {LRM}document omitted", "marked"),
        (f"Plan.pdf {LRM}words nobody knows", "marked"),
        (f"{LRM}words nobody knows", "marked"),
        (f"{LRM}image omitted", "iphone"),
        (f"{LRM}Vídeo omitido", "iphone"),
        (f"{LRM}Где-то: https://maps.google.com/?q=51.5,-0.12", "iphone"),
        (f"{RLM}لم يتم إدراج الصورة", "arabic"),
        (f"{RLM}words nobody knows", "arabic"),
    ],
)
def test_what_stands_for_a_file_is_media(tmp_path: Path, text: str, phone: str) -> None:
    found, tally = body(tmp_path, text, phone=phone)
    assert (found, tally.skipped) == ([], {"media": 1})


def test_a_notice_in_an_unknown_language_is_known_by_recurring(tmp_path: Path) -> None:
    assert body(tmp_path, "<unbekannte Medien fehlen>", again=5)[1].skipped == {"media": 5}
    assert body(tmp_path, "<laughs out loud>", again=2)[0] == ["<laughs out loud>"] * 2


@pytest.mark.parametrize(
    ("text", "kept", "phone"),
    [
        ("<Media omitted>\nthe sea: today", "the sea: today", "android"),
        (
            "IMG-20201231-WA0001.jpg (file attached)\nthe sea\n\ntoday",
            "the sea\n\ntoday",
            "android",
        ),
        ("see you <This message was edited>", "see you", "android"),
        ("bis dann\nAnn <Diese Nachricht wurde bearbeitet.>", "bis dann\nAnn", "android"),
        ("hasta luego <Se editó este mensaje.>", "hasta luego", "android"),
        ("à plus <Ce message a été modifié>", "à plus", "android"),
        ("do zobaczenia <Ta wiadomość została zmieniona>", "do zobaczenia", "android"),
        ("look at this <media omitted>", "look at this", "android"),
        (f"see you {LRM}<This message was edited>", "see you", "iphone"),
        (f"see you {LRM}<words nobody knows>", "see you", "marked"),
        (f"the sea {LRM}<attached: 00000012-PHOTO-2020-12-31.jpg>", "the sea", "marked"),
        (f"the sea {LRM}image omitted", "the sea", "marked"),
        (f"the sea {LRM}<attached: 0.jpg> {LRM}<This message was edited>", "the sea", "marked"),
    ],
)
def test_a_notice_beside_a_text_is_cut_off(
    tmp_path: Path, text: str, kept: str, phone: str
) -> None:
    found, tally = body(tmp_path, text, phone=phone)
    assert (found, tally.skipped) == ([kept], {})
    assert tally.remarks == {"notice cut off a text": 1}


@pytest.mark.parametrize(
    ("text", "phone"),
    [
        ("a plain text behind a mark", "marked"),
        ("1 < 2 and 3 > 2", "android"),
        ("main.py (it works now)", "android"),
        ("<br>", "android"),
        ("write to <ann@example.org>", "android"),
        ("here: https://maps.google.com/?q=1,2", "android"),
        ("This message was deleted, or so it said", "android"),
        (f"{LRM}starts with a mark", "android"),
        (f"{RLM}שלום", "iphone"),
        ("Question:\nA: yes\nB: no", "android"),
        ("a null result", "android"),
    ],
)
def test_what_only_looks_like_a_notice_is_text(tmp_path: Path, text: str, phone: str) -> None:
    found, tally = body(tmp_path, text, phone=phone)
    assert (found, tally.skipped, tally.remarks) == ([text], {}, {})


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("This message was deleted", "deleted message"),
        ("You deleted this message", "deleted message"),
        ("This message was deleted by admin Ann", "deleted message"),
        ("Diese Nachricht wurde gelöscht.", "deleted message"),
        ("Du hast diese Nachricht gelöscht.", "deleted message"),
        ("Eliminaste este mensaje.", "deleted message"),
        ("Ce message a été supprimé", "deleted message"),
        ("Mensagem apagada", "deleted message"),
        ("Hai eliminato questo messaggio", "deleted message"),
        ("Dit bericht is verwijderd", "deleted message"),
        ("Данное сообщение удалено", "deleted message"),
        ("Bu mesaj silindi", "deleted message"),
        ("Pesan ini telah dihapus", "deleted message"),
        ("הודעה זו נמחקה", "deleted message"),
        ("تم حذف هذه الرسالة", "deleted message"),
        ("このメッセージは削除されました", "deleted message"),
        ("此訊息已刪除", "deleted message"),
        ("यह मैसेज डिलीट कर दिया गया है.", "deleted message"),
        ("POLL:\nWhere to?\nOPTION: the sea (2 votes)\nOPTION: home (0 votes)", "event"),
        ("UMFRAGE:\nWohin?\nOPTION: ans Meer (2 Stimmen)\nOPTION: heim (1 Stimme)", "event"),
        ("null", "no text"),
        ("", "no text"),
        ("Missed voice call", "system line"),
        ("Messages and calls are end-to-end encrypted. Tap to learn more.", "system line"),
    ],
)
def test_what_is_no_text_is_counted(tmp_path: Path, text: str, reason: str) -> None:
    found, tally = body(tmp_path, text)
    assert (found, tally.skipped) == ([], {reason: 1})


@pytest.mark.parametrize(
    "line",
    [
        "Messages and calls are end-to-end encrypted. Tap for more info.",
        "You were added",
        'Ann created group "A: b"',
        "Ann changed the subject to “Foo: bar”",
        'Ann changed the subject from "A" to "B: c"',
        "Ann hat den Betreff zu „Foo: bar“ geändert",
        "Ann a changé le sujet en « Foo: bar »",
        "Missed voice call at 10:30",
        "Ann: \u200eAnn pinned a message",
        "Our group: \u200eAnn added Ben",
        "Ann: \u200e\u200eYour security code with Ann changed. \u200eTap to learn more.",
        f"{'very ' * 20}long line: with a colon",
        "Ann turned on disappearing messages.\nand more of it",
    ],
)
def test_lines_of_whatsapps_own_are_counted(tmp_path: Path, line: str) -> None:
    tally = Tally()
    header = "[31/12/2020, 23:05:09] "
    found = chat(tmp_path, f"{header}Ann: hi", f"{header}{line}", f"{header}Ben: ho", tally=tally)
    assert said(found) == [("Ann", "hi"), ("Ben", "ho")]
    assert tally.skipped == {"system line": 1}


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["Ann: a: b", "Ann: c"], [("Ann", "a: b"), ("Ann", "c")]),
        (["Dr. X: MD: one", "Dr. X: MD: two"], [("Dr. X: MD", "one"), ("Dr. X: MD", "two")]),
        (["Dr. X: MD: one", "Dr. X: MD: one"], [("Dr. X", "MD: one")] * 2),
        (["+49 170: P: one", "+49 170: P: two"], [("+49 170", "P: one"), ("+49 170", "P: two")]),
        (["Dr. X: MD: one", "Dr. X: two"], [("Dr. X", "MD: one"), ("Dr. X", "two")]),
        (["Ann: a: b", "Ben: c"], [("Ann", "a: b"), ("Ben", "c")]),
        (["Ann: hi", "Ann:."], [("Ann", "hi"), ("Ann", ".")]),
        (["Bob:Hi", "Bob:there"], [("Bob", "Hi"), ("Bob", "there")]),
        (["Ann:", "more"], [("Ann", "more")]),
        (["Claire : bonjour"], [("Claire", "bonjour")]),
        (["~ Ann: hi", "~\u202fAnn: ho", "Ann: he"], [("Ann", "hi"), ("Ann", "ho"), ("Ann", "he")]),
        (["\u202a+49 170 1234567\u202c: hi"], [("+49 170 1234567", "hi")]),
        (["+49\u00a0170\u00a01234567: hi"], [("+49 170 1234567", "hi")]),
        (['Joe "the cook" B: hi'], [('Joe "the cook" B', "hi")]),
        (["O'Neill: hi", ":joe: hi"], [("O'Neill", "hi"), (":joe", "hi")]),
        (["👩\u200d🔬: hi", "\u200e: ho"], [("👩\u200d🔬", "hi"), ("unnamed", "ho")]),
    ],
)
def test_who_wrote_is_found_out(
    tmp_path: Path, lines: list[str], expected: list[tuple[str, str]]
) -> None:
    headed = [line if line == "more" else f"31/12/2020, 23:05 - {line}" for line in lines]
    assert said(chat(tmp_path, "31/12/2020, 23:05 - Zoe: start", *headed))[1:] == expected


def test_bytes_that_are_no_utf_8_and_other_encodings_are_read(tmp_path: Path) -> None:
    path = tmp_path / "chat.txt"
    path.write_bytes(
        b"31/12/2020, 23:05 - Ann: caf\xe9\r\n\r\n31/12/2020, 23:06 - Ben: \xc3\xa9\r\n"
    )
    tally = Tally()
    assert said(read(path, tally)) == [("Ann", "café"), ("Ben", "é")]
    assert tally.remarks == {"line that is no UTF-8, read as Windows-1252": 1}
    path.write_bytes("31/12/2020, 23:05 - Ann: hé\n".encode("utf-16"))
    assert said(read(path)) == [("Ann", "hé")]


def test_lines_before_the_first_header_are_counted(tmp_path: Path) -> None:
    tally = Tally()
    lines = ["some words", "", *["31/12/2020, 23:05 - Ann: hi"] * 3]
    assert len(chat(tmp_path, *lines, tally=tally)) == 3
    assert tally.skipped == {"bad line": 1}


def test_a_zip_as_it_is_exported_is_read(tmp_path: Path) -> None:
    path = tmp_path / "WhatsApp Chat - Ann.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("00000002-PHOTO-2020-12-31.jpg", b"\xff\xd8")
        archive.writestr("00000003-Some file.txt", "not a chat\n")
        archive.writestr("_chat.txt", "[2020-12-31 23:05:09] Ann: hi\r\n")
    tally = Tally()
    assert read(path, tally) == [Message("Ann", "hi", datetime(2020, 12, 31, 23, 5, 9))]
    assert tally.skipped == {"other file": 1}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello\n",
        "[2020-12-31 23:05] Ann: Signal's\n",
        "[2020-12-31, 23:05] Ann: Signal's\n",
        "[23:05] <ann> a chat log\n",
        '[{"date": "31/12/2020, 23:05 - Ann: hi"}]\n',
        "2020-12-31T23:05:09 <ann> hi\n",
        "3 apples, 10:30 - Ann: no date\n",
    ],
)
def test_other_files_are_not_taken_for_it(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.txt"
    path.write_text(text)
    assert not takes(READER, path)


WORDS = st.sampled_from(
    ["hello", "so: what", "10:30", ":)", "https://example.org/a?b=c", "👍🏽", "naïve", "Zoë's", "(x)",
     "a <b> c", "— yes -", "日本語", "שלום", "…", "[ok]", "~"]
)  # fmt: skip
LINES = st.lists(WORDS, min_size=1, max_size=4).map(lambda words: "so " + " ".join(words))
TEXTS = st.lists(LINES | st.just(""), min_size=1, max_size=4).map("\n".join).filter(str.strip)
NAMES = st.sampled_from(["Ann", "Ben B.", "+49 170 12", "Zoë 🙈", "n", "José-María", "О'Коннор"])


@given(
    st.sampled_from(sorted(ALL_HEADERS)),
    st.lists(st.tuples(st.booleans(), NAMES, TEXTS), min_size=1, max_size=8),
    st.sampled_from(["\n", "\r\n"]),
)
def test_what_was_written_is_read_back(
    name: str, written: list[tuple[bool, str, str]], end: str
) -> None:
    times = (
        datetime(2020, 12, 31, 23, 5, 9 * (name in WITH_SECONDS)),
        datetime(2021, 1, 7, 0, 30),
    )
    # Both headers, once each, show the order of the date's parts; one text without a colon, the name.
    plain = [(False, user, "hello you") for user in ("Ann", *{user for _, user, _ in written})]
    written = [*plain, *written, (True, "Ben B.", "bye you")]
    lines = [f"{ALL_HEADERS[name][late]}{user}: {text}" for late, user, text in written]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "chat.txt")
        path.write_text("\n".join(lines), encoding="utf-8", newline=end)
        found = read(path)
    assert found == [Message(user, text.strip(), times[late]) for late, user, text in written]


SEED = f"""31/12/2020, 23:05 - Ann: hi\n31/12/2020, 23:06 - <Media omitted>
[31.12.20, 23:05:09] Ben: {LRM}image omitted\n{LRM}[31.12.20, 23:05:09] Ben: x.pdf {LRM}<a: b.pdf>
1/7/21, 12:30{NARROW}AM - ~ Zoë: POLL:\nq\nOPTION: a (1 vote)\nOPTION: b (2 votes)
[٣١/١٢/٢٠٢٠، ١١:٠٥:٠٩ م] Ann: see you <This message was edited>\n23:05, 31 Dec 2020 - Ann: c: d
[2563/1/1, 9:0] n: \n12/31/R2 23:05:09: :a: b\n""".encode()


@st.composite
def spoilt(draw: st.DrawFn) -> bytes:
    """A chat with some bytes cut off, put in, changed or doubled."""
    data = bytearray(SEED)
    for _ in range(draw(st.integers(0, 8))):
        at = draw(st.integers(0, len(data)))
        piece = draw(st.binary(max_size=4) | st.sampled_from([b"\n", b": ", b"<", b">", SEED[:60]]))
        data[at : at + draw(st.integers(0, 5))] = piece
    return bytes(data[: draw(st.integers(0, len(data)))])


@given(spoilt() | st.binary(max_size=60), st.booleans())
@example(b"31/12/2020, 23:05 - : ", False)
@example("[31/12/2020, 23:05:09] A: \u200e".encode(), False)
def test_whatever_a_file_holds_nothing_is_invented(data: bytes, lenient: bool) -> None:
    whole = "\n".join(map(decode, data.split(b"\n")))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "chat.txt")
        path.write_bytes(data)
        tally = Tally(lenient=lenient)
        try:
            with open_source(path, tally) as source:
                READER.recognises(source)
                found = list(READER.read(source, tally, ReadOptions()))
        except NwpError:
            return
    if not data.startswith((b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")):
        rest = iter(whole)
        for message in found:
            assert all(c in rest for c in message.text), message
