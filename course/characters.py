"""The 55 Chinese characters of the course, in the order in which it introduces them.

They are simplified characters, many of them built from one another: 人 (person), 从 (two of
them), 众 (three). That is what makes some pairs easy to confuse.
"""

from typing import NamedTuple


class Meaning(NamedTuple):
    """How a character is read in Mandarin (pinyin with tone marks), and what it means."""

    pinyin: str
    english: str


MEANINGS: dict[str, Meaning] = {
    "人": Meaning("rén", "person"),
    "从": Meaning("cóng", "follow"),
    "众": Meaning("zhòng", "crowd"),
    "大": Meaning("dà", "big"),
    "夫": Meaning("fū", "husband"),
    "天": Meaning("tiān", "sky"),
    "口": Meaning("kǒu", "mouth"),
    "太": Meaning("tài", "too much"),
    "因": Meaning("yīn", "cause"),
    "鱼": Meaning("yú", "fish"),
    "犬": Meaning("quǎn", "dog"),
    "吠": Meaning("fèi", "bark"),
    "哭": Meaning("kū", "cry"),
    "火": Meaning("huǒ", "fire"),
    "炎": Meaning("yán", "blazing"),
    "啖": Meaning("dàn", "eat"),
    "木": Meaning("mù", "tree"),
    "林": Meaning("lín", "woods"),
    "森": Meaning("sēn", "forest"),
    "本": Meaning("běn", "root"),
    "竹": Meaning("zhú", "bamboo"),
    "羊": Meaning("yáng", "sheep"),
    "美": Meaning("měi", "beautiful"),
    "羔": Meaning("gāo", "lamb"),
    "山": Meaning("shān", "mountain"),
    "出": Meaning("chū", "go out"),
    "女": Meaning("nǚ", "woman"),
    "囡": Meaning("nān", "daughter"),
    "鸟": Meaning("niǎo", "bird"),
    "日": Meaning("rì", "sun"),
    "东": Meaning("dōng", "east"),
    "月": Meaning("yuè", "moon"),
    "朋": Meaning("péng", "friend"),
    "明": Meaning("míng", "bright"),
    "肉": Meaning("ròu", "meat"),
    "肤": Meaning("fū", "skin"),
    "工": Meaning("gōng", "work"),
    "白": Meaning("bái", "white"),
    "虎": Meaning("hǔ", "tiger"),
    "门": Meaning("mén", "door"),
    "闪": Meaning("shǎn", "flash"),
    "问": Meaning("wèn", "ask"),
    "闲": Meaning("xián", "idle"),
    "水": Meaning("shuǐ", "water"),
    "牛": Meaning("niú", "ox"),
    "马": Meaning("mǎ", "horse"),
    "吗": Meaning("ma", "question particle"),
    "妈": Meaning("mā", "mother"),
    "玉": Meaning("yù", "jade"),
    "王": Meaning("wáng", "king"),
    "国": Meaning("guó", "country"),
    "主": Meaning("zhǔ", "owner"),
    "川": Meaning("chuān", "river"),
    "舟": Meaning("zhōu", "boat"),
    "虫": Meaning("chóng", "insect"),
}

CHARACTERS: tuple[str, ...] = tuple(MEANINGS)
