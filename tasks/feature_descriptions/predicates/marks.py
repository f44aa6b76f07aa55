"""Names and kinds of punctuation marks, and of the scripts of letters."""

from __future__ import annotations

MARKS = {
    ".": ("full-stop", "a full stop", "full stops"),
    ",": ("comma", "a comma", "commas"),
    ";": ("semicolon", "a semicolon", "semicolons"),
    ":": ("colon", "a colon", "colons"),
    "!": ("exclamation-mark", "an exclamation mark", "exclamation marks"),
    "?": ("question-mark", "a question mark", "question marks"),
    "'": ("apostrophe", "a straight apostrophe or single quote", "straight single quotes"),
    "\u2019": ("curly-apostrophe", "a curly apostrophe", "curly apostrophes"),
    "\u2018": ("curly-single-quote", "an opening single quote", "opening single quotes"),
    '"': ("double-quote", "a straight double quote", "straight double quotes"),
    "\u201c": ("opening-double-quote", "an opening curly quote", "opening curly quotes"),
    "\u201d": ("closing-double-quote", "a closing curly quote", "closing curly quotes"),
    "`": ("backtick", "a backtick", "backticks"),
    "(": ("opening-parenthesis", "an opening parenthesis", "opening parentheses"),
    ")": ("closing-parenthesis", "a closing parenthesis", "closing parentheses"),
    "[": ("opening-square-bracket", "an opening square bracket", "opening square brackets"),
    "]": ("closing-square-bracket", "a closing square bracket", "closing square brackets"),
    "{": ("opening-brace", "an opening brace", "opening braces"),
    "}": ("closing-brace", "a closing brace", "closing braces"),
    "<": ("less-than", "a less-than sign", "less-than signs"),
    ">": ("greater-than", "a greater-than sign", "greater-than signs"),
    "-": ("hyphen", "a hyphen", "hyphens"),
    "\u2013": ("en-dash", "an en dash", "en dashes"),
    "\u2014": ("em-dash", "an em dash", "em dashes"),
    "/": ("slash", "a slash", "slashes"),
    "\\": ("backslash", "a backslash", "backslashes"),
    "|": ("vertical-bar", "a vertical bar", "vertical bars"),
    "_": ("underscore", "an underscore", "underscores"),
    "*": ("asterisk", "an asterisk", "asterisks"),
    "#": ("hash", "a hash sign", "hash signs"),
    "@": ("at-sign", "an at sign", "at signs"),
    "&": ("ampersand", "an ampersand", "ampersands"),
    "%": ("percent-sign", "a percent sign", "percent signs"),
    "$": ("dollar-sign", "a dollar sign", "dollar signs"),
    "\u00a3": ("pound-sign", "a pound sign", "pound signs"),
    "\u20ac": ("euro-sign", "a euro sign", "euro signs"),
    "+": ("plus", "a plus sign", "plus signs"),
    "=": ("equals", "an equals sign", "equals signs"),
    "^": ("caret", "a caret", "carets"),
    "~": ("tilde", "a tilde", "tildes"),
    "\u00b0": ("degree-sign", "a degree sign", "degree signs"),
    "\u2022": ("bullet", "a bullet", "bullets"),
    "\u00d7": ("times-sign", "a multiplication sign", "multiplication signs"),
    "...": ("ellipsis", "an ellipsis", "ellipses of three dots"),
    "\u2026": ("ellipsis-character", "an ellipsis character", "ellipsis characters"),
    "--": ("double-hyphen", "a double hyphen", "double hyphens"),
    "==": ("double-equals", "a double equals sign", "double equals signs"),
    "**": ("double-asterisk", "a double asterisk", "double asterisks"),
    "//": ("double-slash", "a double slash", "double slashes"),
    "##": ("double-hash", "a double hash sign", "double hash signs"),
    "___": ("blank", "a blank of three underscores", "blanks of three underscores"),
}
"""Name, singular and plural noun phrase of marks."""

KINDS = {
    "sentence-end": (
        ".!?\u2026",
        "a mark that ends a sentence",
        "marks that end sentences",
        "full stops, question marks and exclamation marks",
    ),
    "pause": (
        ",;:",
        "a comma, semicolon or colon",
        "commas, semicolons and colons",
        "marks that make a pause inside a sentence",
    ),
    "opening-bracket": (
        "([{",
        "an opening bracket",
        "opening brackets of any shape",
        "brackets that open, such as ( or [",
    ),
    "closing-bracket": (
        ")]}",
        "a closing bracket",
        "closing brackets of any shape",
        "brackets that close, such as ) or ]",
    ),
    "bracket": ("()[]{}", "a bracket", "brackets, opening or closing", "all kinds of brackets"),
    "angle": ("<>", "an angle bracket", "angle brackets", "the signs < and >"),
    "quote": (
        "'\"`\u2018\u2019\u201c\u201d",
        "a quotation mark",
        "quotation marks of any kind",
        "quotes, single or double",
    ),
    "double-quotes": (
        '"\u201c\u201d',
        "a double quotation mark",
        "double quotation marks",
        "double quotes, straight or curly",
    ),
    "dash": ("-\u2013\u2014", "a dash or hyphen", "dashes and hyphens", "dashes of any length"),
    "long-dash": ("\u2013\u2014", "a long dash", "long dashes", "en and em dashes"),
    "currency": (
        "$\u00a3\u20ac\u00a5",
        "a currency sign",
        "currency signs",
        "signs for money, such as $",
    ),
    "math": (
        "+=<>\u00d7\u00f7\u00b1^\u2212\u2264\u2265",
        "a mathematical sign",
        "mathematical signs",
        "signs of arithmetic, such as + or =",
    ),
    "code": (
        "{}[]<>=_;/\\|#*&@$^~`",
        "a mark typical of code",
        "marks typical of code",
        "marks such as {, =, _ or ; that programs use",
    ),
}
"""First characters, singular and two plural noun phrases of kinds of marks."""

SCRIPTS = {
    "accented": (
        "LATIN",
        "a word with accented Latin letters",
        "words with accented letters",
        "words with letters such as \u00e9 or \u00fc",
    ),
    "greek": ("GREEK", "Greek letters", "text in Greek letters", "the Greek alphabet"),
    "cyrillic": (
        "CYRILLIC",
        "Cyrillic letters",
        "text in Cyrillic letters",
        "the Cyrillic alphabet",
    ),
    "hebrew": ("HEBREW", "Hebrew letters", "text in Hebrew letters", "the Hebrew alphabet"),
    "arabic": ("ARABIC", "Arabic letters", "text in Arabic letters", "the Arabic script"),
    "devanagari": (
        "DEVANAGARI",
        "Devanagari letters",
        "text in Devanagari letters",
        "the Devanagari script",
    ),
    "thai": ("THAI", "Thai letters", "text in Thai letters", "the Thai script"),
    "han": ("CJK", "Chinese characters", "text in Chinese characters", "Chinese or Han script"),
    "kana": (
        "HIRAGANA KATAKANA",
        "Japanese kana",
        "text in Japanese kana",
        "hiragana and katakana",
    ),
    "hangul": ("HANGUL", "Korean letters", "text in Korean letters", "the Korean alphabet"),
}
"""First words of Unicode names, singular and two plural noun phrases of scripts."""


def mark_name(text: str) -> str:
    """Name of a mark, by code point where it has none; a run of one is named after it."""
    if text in MARKS:
        return MARKS[text][0]
    if len(text) > 1:
        return mark_name(text[0]) + "-run"
    return f"U+{ord(text):04X}"
