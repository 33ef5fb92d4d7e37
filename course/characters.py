"""The 55 Chinese characters of the course, in the order in which it introduces them.

They are simplified characters, many of them built from one another: 人 (person), 从 (two of
them), 众 (three). That is what makes some pairs easy to confuse.
"""

from typing import NamedTuple


class Meaning(NamedTuple):
    """How a character is read in Mandarin (pinyin with tone marks), and what it means."""

    pinyin: str
    english: str


_TABLE = """
人 rén person, 从 cóng follow, 众 zhòng crowd, 大 dà big, 夫 fū husband,
天 tiān sky, 口 kǒu mouth, 太 tài too much, 因 yīn cause, 鱼 yú fish,
犬 quǎn dog, 吠 fèi bark, 哭 kū cry, 火 huǒ fire, 炎 yán blazing,
啖 dàn eat, 木 mù tree, 林 lín woods, 森 sēn forest, 本 běn root,
竹 zhú bamboo, 羊 yáng sheep, 美 měi beautiful, 羔 gāo lamb, 山 shān mountain,
出 chū go out, 女 nǚ woman, 囡 nān daughter, 鸟 niǎo bird, 日 rì sun,
东 dōng east, 月 yuè moon, 朋 péng friend, 明 míng bright, 肉 ròu meat,
肤 fū skin, 工 gōng work, 白 bái white, 虎 hǔ tiger, 门 mén door,
闪 shǎn flash, 问 wèn ask, 闲 xián idle, 水 shuǐ water, 牛 niú ox,
马 mǎ horse, 吗 ma question particle, 妈 mā mother, 玉 yù jade, 王 wáng king,
国 guó country, 主 zhǔ owner, 川 chuān river, 舟 zhōu boat, 虫 chóng insect
"""

MEANINGS: dict[str, Meaning] = {
    character: Meaning(pinyin, english.rstrip())
    for character, pinyin, english in (entry.split(maxsplit=2) for entry in _TABLE.split(","))
}
CHARACTERS: tuple[str, ...] = tuple(MEANINGS)
