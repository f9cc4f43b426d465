#!/usr/bin/env python3
"""docs/config.schema.json: the config for editors, from the host's own tables.

config_schema.py           says what differs, exit 1
config_schema.py --write   writes it

The host checks a config with host/config.schema.json, with the `config` of the
manifest of each plugin, and with code for what those tables cannot say. The
published schema is made of the same tables, so no key, type, range or default
stands twice; what a key does is the text of its row in docs/config.md. On top
come the rules in code that JSON Schema can express (`PATTERNS`, `add_rules`); a
test asks the host and this schema about the same configs and wants the same answer.

Draft 7: every editor that knows JSON Schema knows it.

Every key has a row `| `key` | what it may be, default | what it does |` in
docs/config.md, or for a plugin in the README.md beside its manifest. The
second column of numbers, booleans and enums is held to the table too: `MIN to
MAX, DEFAULT`, `boolean, DEFAULT`, each value in backticks; where the table has
no default, words may say what holds instead.
"""
import copy
import json
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
TARGET = ROOT / 'docs/config.schema.json'
TABLE = ROOT / 'host/config.schema.json'
SECTION = {'runtime': 'runtimes', 'model': 'models', 'ingress': 'ingress',
           'policy': 'policy'}

NAME = '[A-Za-z0-9_.-]{1,64}'
ID = '^[a-z0-9][a-z0-9._-]{0,63}$'
SECRET = f'^secret:{NAME}$'
PORT = ('(0|[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|'
        '6553[0-5])')
OCTET = '(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])'
PORT1 = rf'(?!0){PORT}'
LABEL = '[A-Za-z0-9_-]{1,63}'
IPV4 = rf'({OCTET}\.){{3}}{OCTET}'
HOST = rf'(?!([^:]*\.)?(0[xX][^.:]*|[0-9]+)\.?:)(?=.{{1,254}}:[0-9])({LABEL}\.)*{LABEL}\.?'
ADDRESS = rf'(localhost|({OCTET}\.){{3}}{OCTET}|\[[0-9A-Fa-f:.]+\])'
LOOPBACK = rf'(localhost|127(\.{OCTET}){{3}}|\[[0:]*:0*1\])'
LITERAL = r'^([^$]|\$(?!\{))*$'  # no ${...}, which would not be replaced
FORMATS = {'secret': SECRET,
           'path': r'^([^$]|\$(?!\{))+$',
           'http-url': r'^https?://(?![/:?#])([^\u0000-\u0020\u007f$]|\$(?!\{))+$'}
PATTERNS = {
    'runtimes[].id': ID,
    'models[].name': f'^{NAME}$',
    'plugins[].grants[]': rf'^((model|mount|net|shell|git):(\*|{NAME})|mount:(\*|{NAME}):(ro|rw))$',
    'runtimes[].default_profile': f'^(builtin|named):{NAME}$',
    'runtimes[].workspaces[]': ID,
    'bundles[].runtimes[]': ID,
    'ingress[].listen': f'^({ADDRESS}:{PORT}|unix:(.*[^/])?[^/]|socket:{NAME})$',
    'ingress[].token': SECRET,
    'ingress[].hosts[]': r'^[A-Za-z0-9._:\[\]-]+$',
    'plugins[].digest': '^sha256:[0-9a-f]{64}$',
    'local.secrets.NAME.env': '^[A-Za-z_][A-Za-z0-9_]*$',
    'local.secrets.NAME.file': None,
    'local.network.NAME[]': rf'^((\*\.)?{HOST}|{IPV4}|\[[0-9A-Fa-f:]+(:{IPV4})?\]):{PORT1}$',
    'local.shell.NAME.commands[]': r'^(\*|[A-Za-z0-9_+][A-Za-z0-9_.+-]*)$',
    'local.shell.NAME.env.NAME': r'^(?!secret:)([^$]|\$(?!\{))*$',
    'local.git.NAME.commands[]': r'^(\*|[a-z0-9][a-z0-9-]*)$',
    'local.git.NAME.remotes[]': r'^(?!-)([^\u0000-\u0020\u007f$]|\$(?!\{))+$',
}
MAX_ITEMS = {'plugin_path': 'PLUGINS', 'drop_in': 'PLUGINS', 'plugins': 'PLUGINS',
             'bundles': 'HOST_BUNDLES',
             'runtimes': 'RUNTIMES', 'models': 'MODELS', 'ingress': 'INGRESS',
             'policy': 'POLICIES'}


def load(path):
    return json.loads(path.read_text())


def manifests():
    """(path, manifest) of each plugin that comes with the host, by id."""
    found = [p for d in ('runtimes', 'plugins') for p in (ROOT / d).glob('*/*.yoi.json')]
    return sorted(((p, load(p)) for p in found), key=lambda e: e[1]['id'])


def limit(name):
    text = (ROOT / 'abi/yoi/limits.h').read_text()
    return int(re.search(rf'^#define YOI_{name}_MAX (\d+)', text, re.M).group(1))


def children(schema, path):
    """(path, schema) of what is directly below; [] an item, NAME any key."""
    for name, sub in schema.get('properties', {}).items():
        yield (f'{path}.{name}' if path else name), sub
    if isinstance(schema.get('items'), dict):
        yield f'{path}[]', schema['items']
    if isinstance(schema.get('additionalProperties'), dict):
        yield f'{path}.NAME', schema['additionalProperties']


def walk(schema, path=''):
    for at, sub in children(schema, path):
        yield at, sub
        yield from walk(sub, at)


def keys(schema):
    """The paths that have a row: keys, not items."""
    return {at: sub for at, sub in walk(schema) if not at.endswith('[]')}


# ---- the documentation -----------------------------------------------------------

def rows(path):
    """The rows of key tables: {key: (what it may be, what it does)}, and doubles."""
    out, twice = {}, []
    inside = False
    for line in path.read_text().splitlines():
        if re.match(r'\| key ', line):
            inside = True
        elif not line.startswith('|'):
            inside = False
        found = re.match(r'\| `([^`]+)` \| (.*?) \| (.*) \|$', line)
        if inside and found:
            twice += [found[1]] if found[1] in out else []
            out[found[1]] = (found[2], found[3])
    return out, twice


def column(schema):
    """What the second column begins with and ends in; None: free."""
    if 'enum' in schema:
        values = ', '.join(f'`{v}`' for v in schema['enum'])
        return values + ('; ' + f'`{schema["default"]}`' if 'default' in schema else '')
    kind = schema.get('type')
    if kind == 'boolean':
        return 'boolean' + (f', {json.dumps(schema["default"])}' if 'default' in schema else '')
    if kind in ('integer', 'number'):
        text = f'{schema["minimum"]} to {schema["maximum"]}'
        return text + (f', {schema["default"]}' if 'default' in schema else '')
    return None


def undocumented(schema, page):
    """What the page lacks, has too much of, or says otherwise than the table."""
    name = page.relative_to(ROOT)
    have, twice = rows(page)
    want = keys(schema)
    problems = [f'{name}: two rows for `{k}`' for k in twice]
    problems += [f'{name}: no row for `{k}`' for k in want if k not in have]
    problems += [f'{name}: a row for `{k}`, which is no key' for k in have if k not in want]
    for key in sorted(set(want) & set(have)):
        sub, text = dict(want[key]), have[key][0]
        expected = column(sub)
        if expected is not None and text != expected and not (
                'default' not in sub and text.startswith(expected + ', ')):
            problems.append(f'{name}: `{key}` is `{text}`, expected `{expected}`')
        elif expected is None and f'{sub.get("default", "")}' not in text:
            problems.append(f'{name}: `{key}` lacks its default, `{sub["default"]}`')
    return problems


def described(text):
    """A cell of a table as plain text."""
    text = re.sub(r'\[([^]]*)\]\([^)]*\)', r'\1', text)
    return text.replace('`', '')


# ---- the schema --------------------------------------------------------------------

def types(schema):
    kind = schema.get('type', [])
    return kind if isinstance(kind, list) else [kind]


def refine(schema, path, texts, host):
    """The table's own schema, with what an editor can use on top."""
    if path in texts:
        schema['description'] = described(texts[path][1])
    for at, sub in children(schema, path):
        refine(sub, at, texts, host)
    if 'string' in types(schema) and 'enum' not in schema:
        pattern = PATTERNS.get(path, LITERAL) if host else schema.get('pattern', LITERAL)
        pattern = FORMATS.get(schema.pop('format', None), pattern)
        if pattern:
            schema['pattern'] = pattern
    if host and path in MAX_ITEMS:
        schema['maxItems'] = limit(MAX_ITEMS[path])


def when(condition, then):
    return {'if': {'properties': condition, 'required': sorted(condition)}, 'then': then}


def add_rules(schema):
    """What host/config_sections.c checks beside the table."""
    schema['allOf'] = [when({'step': {'const': True}}, {'properties': {'loops': {'maximum': 1}}})]
    secret = schema['properties']['local']['properties']['secrets']
    secret['propertyNames'] = {'pattern': f'^{NAME}$'}
    for section in ('mounts', 'network', 'shell', 'git'):
        schema['properties']['local']['properties'][section]['propertyNames'] = {
            'pattern': f'^{NAME}$'}
    shell = schema['properties']['local']['properties']['shell']['additionalProperties']
    shell['properties']['env']['propertyNames'] = {'pattern': '^[A-Za-z_][A-Za-z0-9_]*$'}
    secret['additionalProperties']['oneOf'] = [{'required': ['file']}, {'required': ['env']}]
    no = {'not': {}}
    tokens = {'required': ['config'], 'properties': {'config': {'required': ['tokens']}}}
    local = {'properties': {'listen': {'pattern': f'^({LOOPBACK}|unix|socket):'}}}
    schema['properties']['ingress']['items']['allOf'] = [
        when({'surface': {'const': 'browser'}},
             {'properties': {'runtime': no, 'token': no, 'insecure': no},
              'anyOf': [local, tokens]}),
        when({'surface': {'const': 'runtime'}},
             {'properties': {'hosts': no}, 'required': ['runtime'],
              'anyOf': [{'required': ['token']}, tokens,
                        {'required': ['insecure'], 'properties': {'insecure': {'const': True}}}]}),
        when({'insecure': {'const': True}},
             {'properties': {'token': no}, 'not': tokens, 'allOf': [local]}),
    ]


def add_plugins(schema):
    """An entry's `config` is the business of its plugin."""
    for path, manifest in manifests():
        section = SECTION.get(manifest['kind'])  # none of a tool: it has one instance
        entry = schema['properties'][section or 'plugins']['items']
        key = 'plugin' if section else 'id'
        config = copy.deepcopy(manifest['config'])
        config.pop('$schema', None)
        page = path.parent / 'README.md'
        refine(config, '', rows(page)[0], host=False)
        then = {'properties': {'config': config}}
        if config.get('required'):
            then['required'] = ['config']
        entry.setdefault('allOf', []).append(when({key: {'const': manifest['id']}}, then))
        for kinds in SECTION.values():
            if kinds != section:
                other = schema['properties'][kinds]['items']['properties']['plugin']
                other.setdefault('not', {'enum': []})['enum'].append(manifest['id'])
        entry['properties'][key].setdefault('examples', []).append(manifest['id'])


def make():
    schema = load(TABLE)
    refine(schema, '', rows(ROOT / 'docs/config.md')[0], host=True)
    add_rules(schema)
    add_plugins(schema)
    head = {'$schema': 'http://json-schema.org/draft-07/schema#',
            '$comment': 'made by tests/config_schema.py --write; see docs/config.md'}
    schema.pop('$schema')
    return {**head, **schema}


def problems():
    found = undocumented(load(TABLE), ROOT / 'docs/config.md')
    for path, manifest in manifests():
        found += undocumented(manifest['config'], path.parent / 'README.md')
    if not TARGET.is_file() or load(TARGET) != make():
        found.append(f'{TARGET.relative_to(ROOT)}: not what the tables say; '
                     'tests/config_schema.py --write makes it anew')
    return found


def main():
    if sys.argv[1:] == ['--write']:
        TARGET.write_text(json.dumps(make(), indent=1, ensure_ascii=False) + '\n')
    found = problems()
    print('\n'.join(found) if found else f'{TARGET.relative_to(ROOT)}: ok')
    return 1 if found else 0


if __name__ == '__main__':
    sys.exit(main())
