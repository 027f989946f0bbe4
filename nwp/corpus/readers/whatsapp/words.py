"""The words in dates and times, in the languages of the phones that export chats."""

from __future__ import annotations

_AM = """
am vorm vm fm ap dop пробед прпрд пробпрд претпладне препладне пред пополудне дп преподне prepodne
priešpiet priekšpusdienā de pd eparadites paradite pg dopoledne dopoludnia πμ sa öö rn yb tmo fh
上午 午前 오전 早上 凌晨 清晨 半夜 ص صباحا صباحًا قظ قبلازظهر לפנהצ पूर्वाह्न मपू পূর্বাহ্ণ முற்பகல் ಪೂರ್ವಾಹ್ನ
ก่อนเที่ยง ਪੂਦੁ ព្រឹក ກ່ອນທ່ຽງ နံနက် үө կա ጥዋት inthemorning midnight morgens vormittags
delamañana delamadrugada dumatin matin dimattina
"""
_PM = """
pm nachm nm em ip odp слобед следобед попладне пп поподне popodne poslijepodne poslepodne popoldne pop
popiet pēcpusdienā du md epasdites pasdites ptg odpoledne odpoludnia μμ ch ös in yh tk eh
下午 午後 오후 傍晚 م مساء مساءً بظ بعدازظهر אחהצ अपराह्न मउ অপরাহ্ণ பிற்பகல் ಅಪರಾಹ್ನ
หลังเที่ยง ਬਾਦੁ ល្ងាច ຫຼັງທ່ຽງ ညနေ үх կհ ከሰዓት intheafternoon intheevening abends nachmittags
delatarde delanoche dusoir soir disera dipomeriggio
"""
HALVES = {
    **dict.fromkeys(_AM.split(), "am"),
    **dict.fromkeys(_PM.split(), "pm"),
    **dict.fromkeys(["noon", "midday", "中午", "正午"], "noon"),
    **dict.fromkeys(["atnight", "night", "晚上", "nachts", "delanuit"], "night"),
}
"""Half of the day, without dots and spaces, to "am", "pm", "noon" or "night"."""

_JOINING = "at um kl klo à a alas às as om alle o в у г гв гу u saat pukul jam lúc pada ob ve"
JOINERS = frozenset(["", *_JOINING.split()])
"""Words between a date and a time."""

_MONTH_NAMES = """
jan january januar janvier janv ene enero gennaio gen januari janeiro ocak oca янв января января
feb february februar février févr fevr febrero febbraio februari fevereiro fev şubat şub фев февр февраля
mar march märz mrz mars marzo maart mrt março mart мар марта март
apr april avril avr abr abril aprile nisan nis апр апреля
may mai mayo maggio mag mei maio mayıs мая май
jun june juni juin junio giugno giu junho haz haziran июн июня
jul july juli juil juillet julio luglio lug julho tem temmuz июл июля
aug august août aout ago agosto augustus ağu ağustos авг августа
sep sept september septembre septiembre settembre set setembro eyl eylül сен сент сентября
oct october okt oktober octobre octubre ottobre ott out outubro eki ekim окт октября
nov november novembre noviembre novembro kas kasım ноя нояб ноября
dec december dez dezember décembre déc dic diciembre dicembre dezembro ara aralık дек декабря
"""
MONTHS = {
    name: number
    for number, names in enumerate(_MONTH_NAMES.strip().splitlines(), 1)
    for name in names.split()
}
