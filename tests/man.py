#!/usr/bin/env python3
"""docs/man/yoi.json.5: the config's manual page, from docs/config.schema.json.

man.py           says whether it is up to date, exit 1 when not
man.py --write   writes it
"""
import json
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
TARGET = ROOT / 'docs/man/yoi.json.5'
HEAD = r'''.\" made by tests/man.py --write
.TH YOI.JSON 5 "" "yoi 1.0.0" "File formats"
.SH NAME
yoi.json \- the config of yoi-host
.SH DESCRIPTION
One JSON object in UTF-8, of at most 1 MiB, with comments of the forms
.I // ...
and
.IR "/* ... */" .
Trailing commas, keys that stand there twice and unknown keys are errors, which
.B yoi-host check
names all at once, with line and column. Relative paths are relative to the
folder of the file, which must not be writable for everybody. What stands in an
entry's
.I config
is its plugin's:
.B yoi-host plugins show \fIID
prints its schema.
.SH KEYS
'''
TAIL = r'''.SH SEE ALSO
.BR yoi-host (1),
.BR yoi-plugin (7)
'''


def roff(text):
    """Text as it is: no character of it is roff's."""
    text = text.replace('\\', '\\e').replace('-', '\\-').replace("'", '\\(aq')
    return '\\&' + text if text.startswith(('.', '\\(aq')) else text


def shape(value):
    """What may stand there, in a few words."""
    words = []
    if 'enum' in value:
        words.append(' | '.join(map(str, value['enum'])))
    elif 'minimum' in value and 'maximum' in value:
        words.append(f'{value["minimum"]} to {value["maximum"]}')
    elif value.get('type'):
        words.append(str(value['type']))
    if 'default' in value:
        words.append('default ' + json.dumps(value['default']))
    return '; '.join(words)


def rows(value, path):
    for key, inner in value.get('properties', {}).items():
        at = f'{path}.{key}' if path else key
        if inner.get('type') == 'array':
            at += '[]'
        if inner.get('description'):
            yield at, shape(inner), inner['description']
        yield from rows(inner, at)
        yield from rows(inner.get('items', {}), at)
        if isinstance(inner.get('additionalProperties'), dict):
            yield from rows(inner['additionalProperties'], at + '.NAME')


def page():
    schema = json.loads((ROOT / 'docs/config.schema.json').read_text(encoding='utf-8'))
    out = [HEAD]
    for at, what, text in rows(schema, ''):
        out.append(f'.TP\n.B {roff(at)}\n' + (f'.I {roff(what)}\n.br\n' if what else '')
                   + roff(text.replace('; see below', '')) + '\n')
    return ''.join(out) + TAIL


if __name__ == '__main__':
    if sys.argv[1:] == ['--write']:
        TARGET.write_text(page(), encoding='utf-8')
    elif not TARGET.exists() or TARGET.read_text(encoding='utf-8') != page():
        sys.exit(f'{TARGET.relative_to(ROOT)} is not what tests/man.py --write makes')
