#!/usr/bin/env python3
"""Make tests/golden/templates/{expressions,styles}.jsonl with Python's jinja2, and from the same
tables the seeds of tests/fuzz/corpus/jinja (a template, a NUL, its context).

Needs jinja2 3.1.6 (pip install jinja2==3.1.6). The environment is the one that `transformers` uses
for chat templates: immutable sandbox, trim_blocks, lstrip_blocks, loop controls, the generation tag,
tojson without HTML escapes, raise_exception and strftime_now (fixed at 2025-07-10 12:00 UTC).

Usage: scripts/golden/templates.py   (writes into the repository; run after changing the tables)
"""

import datetime
import itertools
import json
import pathlib

import jinja2
import jinja2.ext
from jinja2.sandbox import ImmutableSandboxedEnvironment

ROOT = pathlib.Path(__file__).resolve().parents[2]
OUT = ROOT / "tests/golden/templates"
NOW = datetime.datetime(2025, 7, 10, 12, 0, tzinfo=datetime.timezone.utc)


class Generation(jinja2.ext.Extension):
    tags = {"generation"}

    def parse(self, parser):
        lineno = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        call = self.call_method("_render")
        return jinja2.nodes.CallBlock(call, [], [], body).set_lineno(lineno)

    @jinja2.pass_eval_context
    def _render(self, context, caller):
        return caller()


def environment():
    def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    def raise_exception(message):
        raise jinja2.exceptions.TemplateError(message)

    env = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols]
    )
    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = lambda fmt: NOW.strftime(fmt)
    return env


def render(env, template, context):
    try:
        return {"expected": env.from_string(template).render(**context)}
    except Exception:  # any failure: the messages are our own
        return {"error": ""}


# ---- expressions ---------------------------------------------------------------------------------

CONTEXT = {
    "s": "Hello, World",
    "u": "Grüße, 世界 🌍 ß",
    "e": "",
    "ws": "  \t two  words \n",
    "n": 7,
    "z": 0,
    "neg": -3,
    "f": 2.5,
    "t": True,
    "no": None,
    "l": [3, 1, 2],
    "ls": ["b", "A", "c", "a"],
    "el": [],
    "d": {"b": 1, "a": {"x": [1, 2, {"y": "deep"}]}, "C": None},
    "ed": {},
    "rows": [
        {"name": "x", "v": 3, "g": "p"},
        {"name": "Y", "v": 1, "g": "q"},
        {"name": "z", "v": 2, "g": "p"},
    ],
    "mixed": [1, "1", 1.0, True, None, [], {}],
    "html": "<b>\"Tom\" & 'Ann'</b>",
    "text": "one two three four five six seven\nsecond line here\n\nfourth",
}

EXPRESSIONS = """
1 + 2 * 3 - 4 / 2
7 // 2, -7 // 2, 7 // -2, -7 % 3, 7 % -3, 2 ** 10, 2 ** -1, 7.5 // 2, -7.5 % 2
1 / 3, 10 / 5, 1e16, 1e15, 123456789012345680.0, 0.1 + 0.2, 1e-5, 0.0001, 1.5e300, -0.0
1_000 + 0x1f + 0b101 + 0o17
- 2 ** 2
-n, +n, not n, not z, -f, -t
1 < 2 < 3, 1 < 3 < 2, 1 == 1.0, 1 == true, "a" < "b", [1, 2] < [1, 3], "a" == 1, none == none
n in l, 3 in l, "lo" in s, "x" not in s, "b" in d, 5 not in range(3), "" in ""
s ~ n ~ f ~ t ~ no ~ l ~ d
"a" "b" 'c'
s if n > 3 else "small"
(s if n > 30) is defined
"x" if false
n and s, z and s, n or s, z or e, e or no or "last"
not n == 7
l[0], l[-1], l[5] is defined, l["x"] is defined, s[0], s[-1], u[7], s[100] is defined
l[1:], l[:-1], l[::-1], l[::2], s[1:5], s[-5:], s[::-1], u[::-1], u[3:9:2], s[5:1], l[-2:], s[:], u[-1:]
l[10:], s[:-20], s[3:1:-1], l[none:2], range(10)[2:8:3] | list
d.b, d["b"], d.a.x[2].y, d.missing is defined, d["missing"] is undefined, d.items() | list
d.missing.deeper
missing.attr
missing
missing + 1
missing ~ "x"
missing == missing, missing is none, missing | length, missing | list, missing | join(","), missing | default("dd")
[1, 2] + [3], (1, 2) + (3,), "ab" * 2, 2 * "ab", [0] * 3, (1,) * 2
[1] + (2,)
"a" + 1
1 + "a"
[1, [2, (3, 4), {"k": none}], "it's", 'say "hi"', "both ' and \\"", "tab\\t\\n\\\\"]
(1,), (), (1, 2), {"a": 1, 2: "b", none: true, 1.5: []}
{"a": 1, "a": 2}, {1: "i", true: "b", 1.0: "f"}
{[1]: 2}
range(5), range(1, 9, 3) | list, range(5, 0, -2) | list, range(0) | list, range(3)[1], range(3)[-1]
range(0, 200000)
true, false, none, True, False, None
"%s is %d and %.2f" % (s, n, f), "%5s|%-5s|%05d|%x|%X|%o|%%" % ("a", "b", 42, 255, 255, 8), "%r" % s, "%s" % no
"%(a)s-%(b)03d" % {"a": "x", "b": 7}
"%s" % [1, 2], "%+d % d" % (1, 2), "%.3s" % "abcdef", "%c" % 65, "%e" % 12345.678, "%g" % 0.00001234, "%i" % 3.9
"%s %s" % "one"
"%%o|%%" % missing
"{:.}".format("a")
"a1-b2-c3-d4e5f6" | wordwrap(7), "--aaaaaaaa" | wordwrap(4), "1-2-3-4-5-6-7" | wordwrap(4)
10 ** 404.0
"%s" % (1, 2)
"%d" % "x"
"{} {}".format(1, "b"), "{1} {0}".format("a", "b"), "{x}-{y}".format(x=1, y=s), "{0[b]} {0[a][x][0]}".format(d), "{{}}".format()
"{:>8}|{:<8}|{:^8}|{:*^9}".format("a", "b", "c", "d"), "{:05d} {:+d} {:,} {:x} {:#x} {:b} {:_}".format(42, 7, 1234567, 255, 255, 5, 1234567)
"{:.2f} {:.0f} {:e} {:g} {:%} {:10.3f}|{:<10.1f}|".format(3.14159, 2.5, 12345.6, 0.0001, 0.256, 2.0, 2.0), "{!r} {!s}".format("q", "q"), "{:.3}".format("abcdef")
"{:{w}}|".format("a", w=5), "{:>5}".format(true), "{}".format(none), "{}".format([1, "a"])
"{".format()
"{x}".format()
"{:d}".format("a")
"{:>5}".format(none)
s.upper(), s.lower(), s.title(), s.capitalize(), s.swapcase(), u.upper(), u.lower(), u.title(), "hello world's fair-play".title(), "ÀÉ".lower(), "ß".upper()
ws.strip(), ws.lstrip(), ws.rstrip(), "xxaxx".strip("x"), "abcba".strip("ab"), "\u2003a\u00a0".strip(), "äöä".strip("ä")
"a,b,,c".split(","), "a b  c ".split(), "a,b,c".split(",", 1), "a b c".rsplit(" ", 1), "a b c d".rsplit(none, 2), "a b  c d".split(none, 1), "".split(), "".split(",")
"abc".split("")
"a\\nb\\r\\nc\\rd\\n".splitlines(), "a\\nb".splitlines(true), "".splitlines()
"a-b-c".partition("-"), "a-b-c".rpartition("-"), "abc".partition("-"), "abc".rpartition("-")
s.replace("l", "L"), s.replace("l", "", 1), s.replace("", "."), "aaa".replace("aa", "b"), u.replace("ß", "ss")
s.startswith("He"), s.startswith(("x", "H")), s.endswith("ld"), s.endswith("x"), s.startswith("World", 7), s.startswith("")
s.startswith(1)
s.find("o"), s.find("zz"), s.rfind("o"), s.index("W"), s.count("l"), u.find("世"), s.count(""), s.find("o", 5), s.find("o", 5, 7), u.rfind("ß")
s.index("zz")
"-".join(["a", "b"]), "-".join([]), "".join("abc"), "-".join(d)
"-".join([1, 2])
"12".isdigit(), "1a".isdigit(), "".isdigit(), "ab".isalpha(), "a1".isalnum(), " ".isspace(), "AB".isupper(), "aB".islower(), "Ab Cd".istitle(), "äb".isalpha(), "²".isdigit() or true
"prefix-x".removeprefix("prefix-"), "x.txt".removesuffix(".txt"), "x".removeprefix("y")
"ab".center(6), "ab".center(5), "abc".center(6, "*"), "ab".ljust(5) ~ "|", "ab".rjust(5), "7".zfill(3), "-7".zfill(4)
"a".nope is defined
"a".nope()
"a".encode is defined or true
"%s" | format(3), "%s-%s" | format("a", 2), "%(x)s" | format(x=4)
d.keys() | list, d.values() | list, d.get("b"), d.get("q"), d.get("q", 5), d.get("C", 5), ed.get("a") is none
d.keys(), d.items(), d.values()
d.pop("b")
l.append(4)
d.update({})
l.index(2), l.count(3), (1, 2, 1).count(1), (1, 2).index(2)
l.index(99)
dict(a=1, b=2), dict([("x", 1)]), dict({"q": 1}, r=2), namespace(a=1).a
l | length, s | length, u | length, d | count, range(4) | length, e | length
5 | length
no | length
l | first, l | last, s | first, s | last, el | first, d | first, (l | map("string") | first)
l | sort, l | sort(reverse=true), ls | sort, ls | sort(case_sensitive=true), rows | sort(attribute="v") | map(attribute="name") | list
rows | sort(attribute="g,v") | map(attribute="name") | join
["a", 1] | sort
l | max, l | min, ls | max, ls | min(case_sensitive=true), rows | max(attribute="v"), el | max
l | sum, rows | sum(attribute="v"), [1.5, 2] | sum, el | sum, [[1], [2]] | sum(start=[])
["a"] | sum
l | reverse | list, s | reverse, d | list | reverse | list, (1, 2) | reverse | list
ls | unique | list, ls | unique(true) | list, [1, 1.0, true, "1"] | unique | list, rows | unique(attribute="g") | map(attribute="name") | list
l | join, l | join(", "), rows | join("-", attribute="name"), s | join("."), d | join("+"), mixed | join("|")
l | batch(2) | list, l | batch(2, 0) | list, l | slice(2) | list, l | slice(2, "x") | list, range(7) | batch(3) | list, range(7) | slice(3) | list
rows | groupby("g"), (rows | groupby("g") | first).grouper, (rows | groupby("g") | first).list | length
rows | map(attribute="name") | list, ls | map("upper") | list, rows | map(attribute="q", default="-") | list, ["a b", "c"] | map("replace", " ", "_") | list
rows | selectattr("v", "gt", 1) | map(attribute="name") | list, rows | rejectattr("g", "equalto", "p") | list | length, mixed | select | list | length, mixed | reject("none") | list | length
l | select("odd") | list, l | reject("odd") | list, l | select("divisibleby", 3) | list, ls | select("in", ["a", "b"]) | list, rows | selectattr("name", "in", ["x"]) | list, rows | selectattr("q") | list, rows | selectattr("q", "defined") | list
l | map("nope") | list
l | select("nope") | list
range(4) | select | list, el | select("odd") | list, no | select("odd") | list, missing | map("upper") | list
d | dictsort, {"b": 1, "a": 2} | dictsort(by="value"), {"b": 1, "A": 2} | dictsort(true), {"b": 1, "a": 2} | dictsort(reverse=true), d | items | list
l | tojson, d | tojson, s | tojson, u | tojson, html | tojson, mixed | tojson, 1.0 | tojson, 1e100 | tojson, no | tojson, t | tojson, (1, 2) | tojson, "\\u0001\\x7f\\n\\"" | tojson
d | tojson(indent=2)
d | tojson(indent=0), el | tojson(indent=2), ed | tojson(indent=2), [[], {}] | tojson(indent=1)
d | tojson(separators=(",", ":")), {"b": 1, "a": 2} | tojson(sort_keys=true), u | tojson(ensure_ascii=true), "🌍" | tojson(true)
{1: 2, none: 3, true: 4, 1.5: 5} | tojson
{(1, 2): 3} | tojson
missing | tojson
range(3) | tojson
namespace(a=1) | tojson
"42" | int, "4.9" | int, "x" | int, "x" | int(7), "0x1f" | int(base=16), "1f" | int(0, 16), " 12 " | int, 3.99 | int, t | int, no | int, el | int, "-5" | int, "1_000" | int, "101" | int(base=2)
"1.5" | float, "x" | float, "x" | float(9.5), 3 | float, "1e3" | float, " 2.5 " | float, "inf" | float
2.5 | round, 3.5 | round, 2.567 | round(2), 2.4 | round(0, "ceil"), 2.6 | round(method="floor"), 1234 | round(-2), -2.5 | round, 7 | round, 2.675 | round(2)
-5 | abs, neg | abs, -2.5 | abs
s | upper, s | lower, s | title, s | capitalize, "hello-world (foo) bar's" | title, n | upper, no | upper, "ÉCOLE" | lower, "o'NEIL mc-donald" | title
ws | trim ~ "|", "xxaxx" | trim("x"), n | trim, no | trim
n | string, l | string, no | string, f | string, t | string
s | replace("l", "L"), s | replace("l", "L", 1), 112 | replace(1, 3), no | replace("N", "n")
text | indent, text | indent(2, true), text | indent(2, blank=true), text | indent("> ", first=true), "a\\nb" | indent(width=3), "" | indent(first=true)
5 | indent
text | truncate(15), text | truncate(15, true), text | truncate(15, false, "…"), s | truncate(5, true, "", 0), "short" | truncate(10), "abcdefghij" | truncate(8, leeway=0), "a b" | truncate(3, leeway=0)
text | wordwrap(10), "averyveryverylongword short" | wordwrap(8), "averyverylong x" | wordwrap(8, false), text | wordwrap(12, wrapstring="|")
"well-known state-of-the-art x-ray a-b-cd fo-u% 12-34 word--dash-- --x a.--b" | wordwrap(10), "aaa--bbb cc-dd" | wordwrap(5), "well-known" | wordwrap(6, break_on_hyphens=false)
text | wordcount, "" | wordcount, "a-b c_d é" | wordcount
html | e, html | escape, html | safe, html | forceescape, (html | e) | e, (html | safe) | e, n | e, (html | safe | upper)
(html | safe) + "<i>", "<i>" + (html | safe), (html | e) ~ "<i>", ("<a>" | safe | trim) + "&"
html | striptags, "a  <!-- c --> b&amp;c  " | striptags
"a b/c?d=é&" | urlencode, {"a b": "c/d", "e": 1} | urlencode, n | urlencode
{"a": 1, "b": none, "c": "<"} | xmlattr, {"a": 1} | xmlattr(false)
"ab" | center(6) ~ "|", "abc" | center(6) ~ "|"
1000 | filesizeformat, 1 | filesizeformat, 1536 | filesizeformat(true), 123456789 | filesizeformat, 999 | filesizeformat
missing | default, missing | default("x"), e | default("x"), e | default("x", true), no | default("x"), no | d("x", boolean=true), z | default(5, true)
d | attr("b") is defined, d | attr("keys") is defined, s | attr("upper") is defined
l | list, s | list | length, d | list, "é世" | list
s | nope
s is nope
s is string, n is string, n is number, t is number, f is number, f is float, n is float, n is integer, t is integer, t is boolean, n is boolean
d is mapping, l is mapping, l is sequence, s is sequence, n is sequence, d is sequence, l is iterable, n is iterable, s is iterable, range(3) is sequence, d.keys() is sequence, missing is sequence
no is none, missing is none, missing is undefined, s is defined, e is defined, s is not defined
n is odd, n is even, 4 is divisibleby 2, n is divisibleby(7), n is eq 7, n is ne(3), n is gt 3, n is lt 3, n is ge 7, n is le 7, n is greaterthan 2, n is lessthan 2
n is sameas n, t is sameas true, 1 is sameas true, no is sameas none
"a" is in "abc", 3 is in l, 9 is in l, s is lower, "abc" is lower, "ABC" is upper, "upper" is filter, "zork" is filter, "odd" is test
range is callable, s is callable, missing is callable
t is true, t is false, n is true, no is false, false is false
x is defined and x or "unset"
5 is odd and 4 is even
l is iterable and l is not string and l is not mapping
s.upper is defined, s.upper() is string, s.zork is defined
joiner("-")() ~ "x", cycler(1, 2).next(), cycler(1, 2).current
strftime_now("%Y-%m-%d"), strftime_now("%d %B %Y"), strftime_now("%A, %b %e %H:%M:%S %p %j %y %I"), strftime_now("%-d/%-m %% %U %W %u %w %V %G"), strftime_now("%F %T %D %R")
raise_exception("boom")
9223372036854775807 + 0, -9223372036854775807 - 1
"\\x41\\u00e9\\U0001F30D\\101\\q", '\\'', "\\\\n"
[1, 2, 3,], {"a": 1,}, (1, 2,)
"a,b" | upper | replace("A", "x") ~ "!" | lower
-1 | abs, -(1 | abs), (-1) | abs
1 if 2 else 3 if 0 else 4
d["a"]["x"][0], d.a["x"][-1]["y"] | upper, rows[0].name ~ rows[-1]["name"]
s[n - 6:n], l[l | length - 1], l[l | length - 2:]
[l, l] | map("sum") | list, [l, ls] | map("first") | list, [[1, 2], [3]] | map("join", "-") | list
(l | select("odd")) and true, (el | select("odd")) and "generators are true"
{"a": {"b": 1}}.a.b, [[1, [2]]][0][1][0], "abc"[1], (1, 2)[1], {"x": s}["x"][0]
1.0, 100.0, 1e2, 1.10, 3.0e-7, 5e-324, 1.7976931348623157e308, 123456.789e3
10 ** 20.0, 2 ** 0.5, 7 % 2.5, -1 // 1.5, -10.0 % 2.5, 0 // -9.0, -0.0 // 3, 5 % -2.5, 0.5 == 1 / 2
9223372036854775807 * 1.0
1 / 0
1 % 0
1.0 // 0
l.0, rows.0.name
"é" < "z", "Z" < "a", "a" <= "a", "" < "a", [] < [1], (1, "a") < (1, "b"), 1 < 1.5, true < 2
1 < "a"
none < 1
[1] < "a"
s in 5
5 in "5"
l()
n()
d.b.c is defined, no.x is defined, no["x"] is defined, n.real is defined or true
no.x.y
"" is defined, none is defined, 0 is defined
d == {"C": none, "a": {"x": [1, 2, {"y": "deep"}]}, "b": 1}, l == [3, 1, 2], l == (3, 1, 2), [1, 2] == [1.0, 2.0], "a" == "a", {} == [], [] == []
l != [1], 1 != 1.0, "1" != 1
"a" ~ 1 + 2 ~ "b"
1 ~ 2 * 3
not true and false, not (true and false), true or false and false
2 if n == 7 and not z else 3
"\u00ad\u200b\u2028 é", ["\u00ad\u200b\u2028é\\x7f\u00a0"]
"a" in ["a"] and "b" not in ["a"], 1 in [true], "1" in [1], none in [none], [1] in [[1]]
""".strip("\n").split("\n")

STATEMENTS = [
    "{% for x in l %}{{ loop.index }}/{{ loop.length }}:{{ x }}{{ ',' if not loop.last }}{% endfor %}",
    "{% for x in l %}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.depth }}{{ loop.previtem }}{{ loop.nextitem }};{% endfor %}",
    "{% for x in el %}a{% else %}none{% endfor %}|{% for x in missing %}a{% else %}und{% endfor %}",
    "{% for x in no %}a{% endfor %}",
    "{% for x in 5 %}a{% endfor %}",
    "{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}{% for k in d %}{{ k }}{% endfor %}",
    "{% for k, v in rows %}{% endfor %}",
    "{% for a, (b, c) in [(1, (2, 3)), (4, (5, 6))] %}{{ a }}{{ b }}{{ c }};{% endfor %}",
    "{% for x in range(6) if x % 2 %}{{ x }}{{ loop.index }}{{ loop.last }} {% else %}no{% endfor %}",
    "{% for x in range(6) if x > 9 %}{{ x }}{% else %}no{% endfor %}",
    "{% for x in range(9) %}{% if x == 2 %}{% continue %}{% endif %}{% if x == 5 %}{% break %}{% endif %}{{ x }}{% endfor %}",
    "{% for x in [1, 1, 2, 2, 1] %}{% if loop.changed(x) %}[{{ x }}]{% endif %}{{ loop.cycle('a', 'b') }}{% endfor %}",
    "{% for x in rows recursive %}{{ x.name }}{% if x.kids %}<{{ loop(x.kids) }}>{% endif %}{% endfor %}",
    "{% for n in [{'v': 1, 'c': [{'v': 2, 'c': [{'v': 3}]}, {'v': 4}]}] recursive %}{{ loop.depth }}:{{ n.v }}{% if n.c %}({{ loop(n.c) }}){% endif %},{% endfor %}",
    "{% for x in l %}{{ loop(x) }}{% endfor %}",
    "{% set x = 1 %}{% for i in l %}{% set x = i %}{{ x }}{% endfor %}{{ x }}",
    "{% set ns = namespace(c=0, f=false) %}{% for i in l %}{% set ns.c = ns.c + i %}{% if i == 1 %}{% set ns.f = true %}{% endif %}{% endfor %}{{ ns.c }}{{ ns.f }}{{ ns.q is defined }}",
    "{% set ns = namespace(found=false) %}{% for i in range(5) if not ns.found %}{{ i }}{% if i == 2 %}{% set ns.found = true %}{% endif %}{% endfor %}",
    "{% set d2 = {'a': 1} %}{% set d2.a = 2 %}",
    "{% if n %}{% set q = 5 %}{% endif %}{{ q }}{% if z %}{% set r = 5 %}{% endif %}{{ r is defined }}",
    "{% set a, b = 1, 2 %}{{ a }}{{ b }}{% set a, b = b, a %}{{ a }}{{ b }}{% set t2 = 1, 2 %}{{ t2 }}",
    "{% set a, b = [1, 2, 3] %}",
    "{% set x %}block {{ n }}{% endset %}[{{ x }}]{{ x | length }}",
    "{% set x | upper | trim %} block {{ n }} {% endset %}[{{ x }}]",
    "{% macro m(a, b='B', c=a) %}{{ a }}-{{ b }}-{{ c }}{% endmacro %}{{ m(1) }} {{ m(1, 2) }} {{ m(a=3, b=4) }} {{ m() }} {{ m(1, c=9) }}",
    "{% macro m(a) %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 2, 3, x=4) }}",
    "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, 2) }}",
    "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(b=2) }}",
    "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, a=2) }}",
    "{% macro m() %}{{ caller('x') }}{% endmacro %}{% call(v) m() %}[{{ v }}{{ n }}]{% endcall %}",
    "{% macro m() %}{{ caller() }}{% endmacro %}{{ m() }}",
    "{% macro m() %}x{% endmacro %}{% call m() %}y{% endcall %}",
    "{% macro f(k) %}{% if k %}{{ k }}{{ f(k - 1) }}{% endif %}{% endmacro %}{{ f(4) }}",
    "{% macro f() %}{{ g() }}{% endmacro %}{% macro g() %}late{% endmacro %}{{ f() }}",
    "{% set v = 1 %}{% macro f() %}{{ v }}{% endmacro %}{% set v = 2 %}{{ f() }}",
    "{% macro f(x) %}{% set x = x + 1 %}{{ x }}{% endmacro %}{% set x = 5 %}{{ f(1) }}{{ x }}",
    "{% macro m(a) %}  {{- a -}}  {% endmacro %}[{{ m('z') | upper }}]{{ m.name }}",
    "{% with a = 1, b = n %}{{ a }}{{ b }}{% endwith %}{{ a is defined }}",
    "{% filter upper %}abc {{ s }}{% endfilter %}|{% filter replace('a', 'b') | trim %} a {% endfilter %}",
    "{% generation %}a{% set q = 1 %}{% endgeneration %}{{ q is defined }}",
    "{% raw %}{{ x }} {% if %}{% endraw %}|{%- raw -%}  {{ y }}  {%- endraw -%}  |",
    "{# c #}a{#- c -#} b {# c\n#}\nc{#- x #}\nd",
    "  {% if true %}\n  x\n  {% endif %}\ny\n",
    "a\n  {%- if true %}\n b\n{%- endif %}\nc\n\n",
    "a {%+ if true %} b {%+ endif +%}\n c",
    "  {{ n }}\n  {{- n -}}\n  {{ n }}",
    "\n\n  {%- for i in range(2) %}\n  - {{ i }}\n  {%- endfor %}\n",
    "a\r\nb\rc\n{{ n }}\r\n",
    "{% if z %}a{% elif n > 5 %}b{% elif t %}c{% else %}d{% endif %}",
    "{% if missing %}a{% else %}b{% endif %}{% if missing.x %}a{% endif %}",
    "{% print 'a', 'b' %}",
    "{{ {'a': {'b': 1}} }}{{ {'}}': '%}'} }}{{ '}}' }}",
    "{{ [1,\n 2,\n 3] | join(\n',') }}",
    "{% set x = [1, 2, 3] %}{% set _ = x.append(4) %}",
    "{% for i in range(3) %}{% for j in range(2) %}{{ loop.index }}{{ i }}{{ j }} {% endfor %}{{ loop.index }}{% endfor %}",
    "{% for i in range(3) %}{% set outer = loop %}{% for j in range(2) %}{{ outer.index }}.{{ loop.index }} {% endfor %}{% endfor %}",
    "{% for m in [{'role': 'user'}, {'role': 'assistant'}] %}{{ m['role'] }}{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('bad') }}{% endif %}{% endfor %}",
    "{{ undefined_function() }}",
    "{% if false %}{{ s | zork }}{% endif %}ok",
    "{% if true %}{{ s | zork }}{% endif %}",
    "{% include 'x' %}",
    "{% zork %}",
    "{% if %}{% endif %}",
    "{% if n %}",
    "{% endif %}",
    "{{ n",
    "{% if n }}",
    "{{ 'abc }}",
    "{{ 1 + }}",
    "{{ (1, 2 }}",
    "{# open",
    "{% raw %}open",
    "{{ a b }}",
    "{% for in l %}{% endfor %}",
    "{% set 1 = 2 %}",
    "{% macro m(a=1, b) %}{% endmacro %}",
    "{% break %}",
    "{{ n.. }}",
    "{{ @ }}",
    "{% set loop = 1 %}{{ loop }}",
    "{% for a in l %}{% for b in ls if b == 'a' %}{{ a }}{{ b }}{% else %}-{% endfor %}{% endfor %}",
    "{% macro deep(v) %}{% if v is mapping %}{ {%- for k, x in v | dictsort %}{{ k }}:{{ deep(x) }}{{ ',' if not loop.last }}{% endfor -%} }{% elif v is sequence and v is not string %}[{% for x in v %}{{ deep(x) }}{{ ',' if not loop.last }}{% endfor %}]{% else %}{{ v | tojson }}{% endif %}{% endmacro %}{{ deep(d) }}{{ deep(rows) }}",
    "{%- set ns = namespace() -%}{% set ns.items = 5 %}{{ ns.items }}{{ ns['items'] is defined }}",
    "{% set it = d.items() %}{% for k, v in it %}{{ k }}{% endfor %}{% for k, v in it %}{{ k }}{% endfor %}",
    "{% set g = l | map('string') %}{{ g | join }}-{{ g | join }}",
    "{% for c in 'añ世' %}{{ c }}.{% endfor %}",
    "{% for x in l | sort %}{{ x }}{% endfor %}{% for k, g in rows | groupby('g') %}{{ k }}:{{ g | map(attribute='name') | join(',') }};{% endfor %}",
    "{{ s }}{% if s %}{{ '' }}{% endif %}\n\n",
    "{{ '%s' % s if s is string else s | tojson }}{{- '\n' -}}  x",
    "{%- for i in l -%} {{ i }} {%- endfor -%} ",
    "{% set content = 'a<think>b</think>c' %}{{ content.split('</think>')[0].split('<think>')[-1] }}|{{ content.split('</think>')[-1].lstrip('\n') }}",
]


def expressions(env):
    for line in EXPRESSIONS:
        template = "{{ " + line + " }}"
        yield {"template": template, "context": CONTEXT_USED(template), **render(env, template, CONTEXT)}
    for template in STATEMENTS:
        yield {"template": template, "context": CONTEXT_USED(template), **render(env, template, CONTEXT)}


def CONTEXT_USED(template):
    """Only the members a template can name, to keep the file small."""
    import re

    words = set(re.findall(r"\w+", template))
    return {k: v for k, v in CONTEXT.items() if k in words}


# ---- styles --------------------------------------------------------------------------------------

TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Weather of a place; says \"n/a\" when unknown.",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string", "description": "Name, e.g. Zürich"},
                "unit": {"type": "string", "enum": ["c", "f"]},
                "days": {"type": "integer"},
            },
            "required": ["city"],
        },
    },
}
CALL = {"id": "call00001", "type": "function", "function": {"name": "get_weather", "arguments": {"city": "Zürich", "days": 2}}}
USER = {"role": "user", "content": "Hello <there>, 世界 & \"you\"?"}
ANSWER = {"role": "assistant", "content": "  Hi!\n"}

SCENARIOS = {
    "user": [USER],
    "system": [{"role": "system", "content": "Be brief."}, USER],
    "turns": [{"role": "system", "content": " Be brief.\n"}, USER, ANSWER, {"role": "user", "content": "And\nnow?"}],
    "call": [USER, {"role": "assistant", "content": "", "tool_calls": [CALL]}, {"role": "tool", "tool_call_id": "call00001", "name": "get_weather", "content": "{\"t\": 21.5}"}],
    "calls": [USER, {"role": "assistant", "content": "Let me look.", "tool_calls": [CALL, CALL]}, {"role": "tool", "content": "one"}, {"role": "tool", "content": "two"}, ANSWER, USER],
    "parts": [{"role": "user", "content": [{"type": "text", "text": "first "}, {"type": "text", "text": "second"}]}],
    "reasoning": [USER, {"role": "assistant", "content": "42", "reasoning_content": "Think.\nMore."}, USER],
    "think": [USER, {"role": "assistant", "content": "<think>\nold\n</think>\n\nyes"}, USER],
    "missing": [{"role": "user"}, {"role": "assistant"}, {"role": "user", "content": None}],
    "twice": [USER, USER],
    "unknown": [{"role": "critic", "content": "hm"}],
    "developer": [{"role": "developer", "content": "Rules."}, USER],
    "empty": [],
}
VARIANTS = [
    {"add_generation_prompt": True, "tools": None},
    {"add_generation_prompt": False, "tools": None},
    {"add_generation_prompt": True, "tools": [TOOL]},
    {"add_generation_prompt": True, "tools": [TOOL, TOOL], "enable_thinking": False, "reasoning_effort": "high"},
]


def styles(env):
    for path in sorted((OUT / "styles").glob("*.jinja")):
        source = path.read_text()
        for (name, messages), (i, variant) in itertools.product(SCENARIOS.items(), enumerate(VARIANTS)):
            if i in (1, 2) and name not in ("turns", "calls"):
                continue  # two variants are enough elsewhere; keeps the file small
            context = {"messages": messages, "bos_token": "<s>", "eos_token": "</s>", **variant}
            row = {"template_file": f"styles/{path.name}", "name": name, "context": context}
            yield {**row, **render(env, source, context)}


def corpus():
    out = ROOT / "tests/fuzz/corpus/jinja"
    out.mkdir(parents=True, exist_ok=True)
    seeds = {f"expression{i:03}": "{{ " + e + " }}" for i, e in enumerate(EXPRESSIONS[::6])}
    seeds |= {f"statement{i:03}": t for i, t in enumerate(STATEMENTS[::2])}
    for name, template in seeds.items():
        context = json.dumps(CONTEXT_USED(template), ensure_ascii=False)
        (out / name).write_text(template + "\0" + context)
    for path in sorted((OUT / "styles").glob("*.jinja")):
        context = {"messages": SCENARIOS["calls"], "bos_token": "<s>", "eos_token": "</s>", **VARIANTS[3]}
        (out / f"style_{path.stem}").write_text(path.read_text() + "\0" + json.dumps(context, ensure_ascii=False))


def main():
    env = environment()
    corpus()
    for name, rows in (("expressions", expressions(env)), ("styles", styles(env))):
        with open(OUT / f"{name}.jsonl", "w") as f:
            for row in rows:
                f.write(json.dumps(row, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
