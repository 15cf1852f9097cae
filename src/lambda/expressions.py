"""Takes regular expressions apart, for `generate.py`.

Only what AWS's model uses is understood; anything else ends in an assertion, so that a new model cannot
bring a pattern that is taken for another one.
"""

import re

ESCAPED = {"n": "\n", "r": "\r", "t": "\t", "f": "\f", "v": "\v"}
CLASSES = {
    "d": [("0", "9")],
    "s": [("\t", "\r"), (" ", " ")],  # Java's: ASCII only
    "w": [("0", "9"), ("A", "Z"), ("_", "_"), ("a", "z")],
}
# `\\p{Z}`, which no method of `char` decides.
SEPARATORS = [" ", "\u00a0", "\u1680", ("\u2000", "\u200a"), "\u2028", "\u2029", "\u202f", "\u205f", "\u3000"]
EVERYTHING = ("\0", "\U0010ffff")


class Pattern:
    """A recursive descent over one regular expression, giving the text of a Rust `Node`."""

    def __init__(self, source):
        self.source, self.at = source, 0

    def parse(self):
        node = self.either()
        assert self.at == len(self.source), (self.source, self.at)
        return node

    def peek(self):
        return self.source[self.at : self.at + 1]

    def take(self, expected):
        if self.source.startswith(expected, self.at):
            self.at += len(expected)
            return True
        return False

    def either(self):
        branches = [self.sequence()]
        while self.take("|"):
            branches.append(self.sequence())
        return branches[0] if len(branches) == 1 else f"Either(&[{', '.join(branches)}])"

    def sequence(self):
        nodes, literal = [], ""

        def flush():
            nonlocal literal
            if literal:
                nodes.append(f"Text({text_of(literal)})")
            literal = ""

        while self.peek() and self.peek() not in "|)":
            kind, node = self.atom()
            times = self.times()
            if kind == "text" and times is None:
                literal += node
                continue
            flush()
            if kind == "text":
                node = f"Text({text_of(node)})"
            if times is not None:
                least, most = times
                most = "None" if most is None else f"Some({most})"
                node = f"Times(&{node}, {least}, {most})"
            nodes.append(node)
        flush()
        return nodes[0] if len(nodes) == 1 else f"All(&[{', '.join(nodes)}])"

    def times(self):
        if self.take("*"):
            return 0, None
        if self.take("+"):
            return 1, None
        if self.take("?"):
            return 0, 1
        found = re.compile(r"\{(\d+)(,?)(\d*)\}").match(self.source, self.at)
        if not found:
            return None
        self.at = found.end()
        least, comma, most = found.groups()
        if not comma:
            return int(least), int(least)
        return int(least), int(most) if most else None

    def atom(self):
        for opening, kind in (("(?!", "NotAhead"), ("(?<!", "NotBehind"), ("(?:", None), ("(", None)):
            if self.take(opening):
                node = self.either()
                assert self.take(")"), self.source
                return "node", f"{kind}(&{node})" if kind else node
        if self.take("["):
            return "node", self.one_of()
        if self.take("."):
            # Java's: no line terminators.
            line_ends = [("\n", "\n"), ("\r", "\r"), ("\x85", "\x85"), ("\u2028", "\u2029")]
            return "node", one_of(line_ends, "", True)
        if self.take("^"):
            return "node", "Start"
        if self.take("$"):
            return "node", "End"
        char = self.peek()
        assert char not in "*+?{}[]", (self.source, self.at)
        if char == "\\":
            kind, value = self.escape()
            return (kind, value) if kind == "text" else ("node", one_of(value, "", False))
        self.at += 1
        return "text", char

    def escape(self):
        assert self.take("\\")
        char = self.peek()
        self.at += 1
        if char == "x":
            code = self.source[self.at : self.at + 2]
            self.at += 2
            return "text", chr(int(code, 16))
        if char in CLASSES:
            return "ranges", CLASSES[char]
        if char == "S":
            return "ranges", [("\0", "\x08"), ("\x0e", "\x1f"), ("!", EVERYTHING[1])]
        if char == "p":
            found = re.compile(r"\{(\w)\}").match(self.source, self.at)
            self.at = found.end()
            return "category", found.group(1)
        assert char in ESCAPED or not char.isalnum(), (self.source, self.at)
        return "text", ESCAPED.get(char, char)

    def one_of(self):
        negated, ranges, categories = self.take("^"), [], ""
        while not self.take("]"):
            kind, value = self.escape() if self.peek() == "\\" else self.plain()
            if kind == "ranges":
                ranges += value
                continue
            if kind == "category":
                if value == "Z":
                    ranges += [(c, c) if isinstance(c, str) else c for c in SEPARATORS]
                else:
                    categories += value
                continue
            last = value
            # A hyphen is a range between two characters, and itself elsewhere (`0-9-_`).
            after = self.source[self.at + 1 : self.at + 2]
            if self.peek() == "-" and after != "]" and value != "-":
                self.at += 1
                kind, last = self.escape() if self.peek() == "\\" else self.plain()
                assert kind == "text", self.source
            ranges.append((value, last))
        return one_of(ranges, categories, negated)

    def plain(self):
        char = self.peek()
        self.at += 1
        return "text", char


def char(value):
    if value in "'\\":
        return f"'\\{value}'"
    return f"'{value}'" if " " <= value <= "~" else f"'\\u{{{ord(value):x}}}'"


def text_of(value):
    assert all(" " <= c <= "~" for c in value), value
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def one_of(ranges, categories, negated):
    for begin, end in ranges:
        assert begin <= end, ranges
    ranges = ", ".join(f"({char(begin)}, {char(end)})" for begin, end in sorted(set(ranges)))
    of = ", ".join({"L": "Category::Letter", "N": "Category::Number"}[c] for c in categories)
    if of:
        assert not negated
        return f"OneOf(&[{ranges}], &[{of}])"
    return f"NoneOf(&[{ranges}])" if negated else f"OneOf(&[{ranges}], &[])"
