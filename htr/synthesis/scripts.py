"""Short texts in Greek, Arabic and Vietnamese: a random generator in, a text and its language out.

Names, dates, amounts and sentences of the kind that people write on forms, in NFC and logical order. Arabic lines
have Arabic or European digits, and at times a Latin word, as they do in life.
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import numpy as np

_ARABIC_DIGITS = str.maketrans("0123456789", "٠١٢٣٤٥٦٧٨٩")


def invent_script_text(rng: np.random.Generator, script: str) -> tuple[str, str]:
    """Return a text in one of SCRIPTS, and its language (ISO 639-3)."""
    language, invent = _INVENTORS[script]
    return invent(rng), language


def characters_of(script: str) -> str:
    """Return the characters that texts of a script are made of, sorted."""
    words = _WORDS[script]
    digits = "".join(map(chr, _ARABIC_DIGITS.values())) if script == "arabic" else ""
    return "".join(
        sorted({*"".join(word for group in words.values() for word in group), *"0123456789", *digits} - {" "})
    )


def _pick(rng: np.random.Generator, choices: Sequence[str]) -> str:
    return choices[int(rng.integers(len(choices)))]


def _date(rng: np.random.Generator) -> tuple[int, int, int]:
    return int(rng.integers(1, 29)), int(rng.integers(1, 13)), int(rng.integers(1850, 2030))


def _greek(rng: np.random.Generator) -> str:
    words = _WORDS["greek"]
    day, month, year = _date(rng)
    forms = (
        f"{_pick(rng, words['first'])} {_pick(rng, words['last'])}",
        f"{_pick(rng, words['last'])}, {_pick(rng, words['first'])}",
        f"{day} {words['months'][month - 1]} {year}",
        f"{_pick(rng, words['towns'])}, {day}/{month}/{year}",
        f"{_pick(rng, words['subjects'])} {_pick(rng, words['verbs'])} {_pick(rng, words['objects'])}.",
        f"{int(rng.integers(10, 9000))} {_pick(rng, words['units'])}",
    )
    return _pick(rng, forms)


def _arabic(rng: np.random.Generator) -> str:
    words = _WORDS["arabic"]
    day, month, year = _date(rng)
    forms = (
        f"{_pick(rng, words['first'])} {_pick(rng, words['last'])}",
        f"{_pick(rng, words['first'])} بن {_pick(rng, words['first'])} {_pick(rng, words['last'])}",
        f"{day} {words['months'][month - 1]} {year}",
        f"{_pick(rng, words['towns'])} في {day}/{month}/{year}",
        f"{_pick(rng, words['verbs'])} {_pick(rng, words['subjects'])} {_pick(rng, words['objects'])}.",
        f"{_pick(rng, words['units'])} {int(rng.integers(10, 9000))} ({_pick(rng, words['towns'])})",
        f"رسالة من {_pick(rng, words['first'])} إلى {_pick(rng, words['foreign'])}",
    )
    text = _pick(rng, forms)
    return text.translate(_ARABIC_DIGITS) if rng.random() < 0.5 else text


def _vietnamese(rng: np.random.Generator) -> str:
    words = _WORDS["vietnamese"]
    day, month, year = _date(rng)
    forms = (
        f"{_pick(rng, words['last'])} {_pick(rng, words['middle'])} {_pick(rng, words['first'])}",
        f"{_pick(rng, words['last'])} {_pick(rng, words['first'])}",
        f"ngày {day} tháng {month} năm {year}",
        f"{_pick(rng, words['towns'])}, {day}/{month}/{year}",
        f"{_pick(rng, words['subjects'])} {_pick(rng, words['verbs'])} {_pick(rng, words['objects'])}.",
        f"{int(rng.integers(1, 900))}.{int(rng.integers(0, 10))}00 đồng",
        f"số {int(rng.integers(1, 240))} đường {_pick(rng, words['last'])} {_pick(rng, words['first'])}",
    )
    return _pick(rng, forms)


def _list(text: str) -> list[str]:
    return [" ".join(item.split()) for item in text.replace("،", ",").split(",")]


_WORDS: dict[str, dict[str, list[str]]] = {
    "greek": {
        "first": _list(
            """Γιώργος, Μαρία, Ελένη, Νίκος, Σοφία, Κώστας, Άννα, Δημήτρης, Ζωή, Θάνος, Ιωάννα, Λευτέρης, Ξένια,
            Όλγα, Πέτρος, Ρένα, Σπύρος, Τάσος, Υπατία, Φωτεινή, Χρήστος, Έφη, Ήρα, Βασίλης"""
        ),
        "last": _list(
            """Παπαδόπουλος, Βασιλείου, Γεωργίου, Δήμου, Ζέρβας, Ηλιάδης, Θεοδώρου, Καραμάνος, Λάμπρου, Μακρής,
            Νικολάου, Ξανθός, Οικονόμου, Ράπτης, Σαββίδης, Τσιγκός, Φιλίππου, Χατζής, Ψαρράς, Ωρολογάς"""
        ),
        "months": _list(
            """Ιανουαρίου, Φεβρουαρίου, Μαρτίου, Απριλίου, Μαΐου, Ιουνίου, Ιουλίου, Αυγούστου, Σεπτεμβρίου,
            Οκτωβρίου, Νοεμβρίου, Δεκεμβρίου"""
        ),
        "towns": _list("Αθήνα, Βόλος, Ηράκλειο, Καβάλα, Λάρισα, Πάτρα, Ρόδος, Χανιά, Ψαρά, Έδεσσα"),
        "subjects": _list("Ο γιατρός, Η θεία μου, Το παιδί, Ο ξένος, Η Ζωή, Κάποιος, Ο ταχυδρόμος, Η μαθήτρια"),
        "verbs": _list("βρήκε, έχασε, πήρε, έγραψε, διάβασε, ζήτησε, αγόρασε, ξέχασε, έφερε"),
        "objects": _list("το κλειδί, δύο βιβλία, ένα γράμμα, τον χάρτη, ψωμί και τυρί, την εφημερίδα, λίγο νερό"),
        "units": _list("δραχμές, ευρώ, λίτρα, κιλά, μέτρα, σελίδες"),
        "signs": [".,/"],
    },
    "arabic": {
        "first": _list(
            """محمد، أحمد، فاطمة، خالد، سعاد، يوسف، ليلى، عمر، زينب، حسن، نور، طارق، غادة، ثريا، جميل، ضياء، ظافر،
            شادي، صفاء، قاسم، هدى، وليد، مريم، إبراهيم، آمنة، ذكرى، رؤوف، بهاء"""
        ),
        "last": _list(
            """الحسن، العلي، النجار، الخطيب، الصباغ، القاضي، الطيب، المصري، الشامي، البغدادي، الزهراني، الفاسي،
            الكاتب، الجزائري، التونسي"""
        ),
        "months": _list(
            """يناير، فبراير، مارس، أبريل، مايو، يونيو، يوليو، أغسطس، سبتمبر، أكتوبر، نوفمبر، ديسمبر"""
        ),
        "towns": _list("بغداد، دمشق، القاهرة، تونس، فاس، صنعاء، حلب، غزة، مكة، الخرطوم"),
        "verbs": _list("كتب، قرأ، وجد، باع، أخذ، رأى، حفظ، طلب، نسي"),
        "subjects": _list("الرجل، الولد، المعلم، الطبيب، صديقي، الضيف، جارنا"),
        "objects": _list("الكتاب، رسالة طويلة، المفتاح، بيتا كبيرا، ثلاث ورقات، ظرفا مغلقا، خبزا"),
        "units": _list("دينار، درهم، صفحة، كيلو، رقم"),
        "foreign": _list("Paris, London, Rome, Berlin, Oslo"),
        "fixed": _list("بن، في، رسالة من، إلى"),
        "signs": ["./()"],
    },
    "vietnamese": {
        "last": _list("Nguyễn, Trần, Lê, Phạm, Hoàng, Huỳnh, Phan, Vũ, Võ, Đặng, Bùi, Đỗ, Hồ, Ngô, Dương, Lý"),
        "middle": _list("Văn, Thị, Hữu, Đức, Ngọc, Quang, Thế, Mỹ"),
        "first": _list(
            """Anh, Bình, Cường, Dũng, Hạnh, Hương, Khánh, Lượng, Mẫn, Nghĩa, Phượng, Quỳnh, Sỹ, Thảo, Tuấn, Uyên,
            Việt, Xuân, Yến, Ẩn, Ước, Giàu, Lẫm"""
        ),
        "towns": _list("Hà Nội, Huế, Đà Nẵng, Cần Thơ, Vũng Tàu, Đà Lạt, Hải Phòng, Mỹ Tho"),
        "subjects": _list("Tôi, Chúng tôi, Bà ấy, Anh Bình, Người thợ, Cô giáo, Ông Ẩn, Bọn trẻ"),
        "verbs": _list("đã mua, vừa bán, đang đọc, sẽ gửi, tìm thấy, thường viết, để quên, giữ"),
        "objects": _list("quyển sách, hai bức thư, chiếc áo, ít gạo nếp, đồng hồ cũ, cái mũ, rổ ổi, lọ mực"),
        "fixed": _list("ngày, tháng, năm, đồng, số, đường"),
        "signs": [".,/"],
    },
}
_INVENTORS: Mapping[str, tuple[str, Callable[[np.random.Generator], str]]] = MappingProxyType(
    {"greek": ("ell", _greek), "arabic": ("ara", _arabic), "vietnamese": ("vie", _vietnamese)}
)
SCRIPTS = tuple(_INVENTORS)
