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
    "sentence-end": ".!?\u2026",
    "pause": ",;:",
    "opening-bracket": "([{",
    "closing-bracket": ")]}",
    "bracket": "()[]{}",
    "angle": "<>",
    "quote": "'\"`\u2018\u2019\u201c\u201d",
    "double-quotes": '"\u201c\u201d',
    "dash": "-\u2013\u2014",
    "long-dash": "\u2013\u2014",
    "currency": "$\u00a3\u20ac\u00a5",
    "math": "+=<>\u00d7\u00f7\u00b1^\u2212\u2264\u2265",
    "code": "{}[]<>=_;/\\|#*&@$^~`",
}
"""First characters of kinds of marks."""

SCRIPTS = {
    "accented": "LATIN",
    "greek": "GREEK",
    "cyrillic": "CYRILLIC",
    "hebrew": "HEBREW",
    "arabic": "ARABIC",
    "devanagari": "DEVANAGARI",
    "thai": "THAI",
    "han": "CJK",
    "kana": "HIRAGANA KATAKANA",
    "hangul": "HANGUL",
}
"""First words of Unicode names of the letters of scripts."""


def mark_name(text: str) -> str:
    """Name of a mark, by code point where it has none; a run of one is named after it."""
    if text in MARKS:
        return MARKS[text][0]
    if len(text) > 1:
        return mark_name(text[0]) + "-run"
    return f"U+{ord(text):04X}"
