"""The config's JSON Schema for editors, held to the host: the same verdict on
configs that are right, wrong by one rule each, and at every edge of the tables.
Every config that any test starts a host with is judged by it too (lib/host.py).
"""
import copy
import hashlib
import json
import subprocess

import jsonschema
import pytest
from lib import bundles, configs, schema
from lib.host import BINARY, ROOT, dropped
from lib.sample import EVERY, some
from test_config_messages import check

tables = schema.tables
EXAMPLES = sorted((ROOT / 'docs/examples').glob('*.json'))


def test_the_tables_the_documentation_and_the_published_schema_agree():
    assert tables.problems() == []


def test_editors_can_read_the_published_schema():
    published = json.loads((ROOT / 'docs/config.schema.json').read_text())
    jsonschema.Draft7Validator.check_schema(published)
    assert published['$schema'] == 'http://json-schema.org/draft-07/schema#'
    lacking = [at for at, sub in tables.keys(published).items() if not sub.get('description')]
    assert lacking == []


def test_the_program_prints_the_published_schema():
    done = subprocess.run([str(BINARY), 'config-schema'], check=True, stdout=subprocess.PIPE)
    assert done.stdout == (ROOT / 'docs/config.schema.json').read_bytes()


@pytest.mark.parametrize('path', EXAMPLES, ids=lambda p: p.name)
def test_examples_are_right_and_name_their_schema(path):
    text = path.read_text()
    assert schema.errors(text) == []
    named = schema.plain(text)['$schema']
    assert (path.parent / named).resolve() == ROOT / 'docs/config.schema.json'


# ---- a config with every key, and each of its values made wrong ---------------------

def sample(sub):
    """A value that the schema of a plugin takes, with all its keys."""
    if 'enum' in sub:
        return sub['enum'][0]
    kind = sub.get('type')
    if isinstance(kind, list):  # the one in which there is most
        kind = next(k for k in ('object', 'array', 'string') if k in kind)
    if kind == 'object':
        return {at.rpartition('.')[2]: sample(s) for at, s in tables.children(sub, '.')
                if not at.endswith('[]')}
    if kind == 'array':
        return [sample(sub['items'])]
    if kind == 'string':
        forms = {'secret': 'secret:llm', 'http-url': 'http://h/v1'}
        return forms.get(sub.get('format')) or sub.get('default') or 'x' * sub.get('minLength', 1)
    return sub.get('default', sub.get('minimum', False))


def full(folder):
    """Every key of the host's table and of the plugins' stands in it."""
    (folder / 'empty').mkdir(exist_ok=True)
    bundles.write(folder / 'team.json', 'team')
    bundles.write(folder / 'lab.json', 'lab')
    digest = hashlib.sha256(dropped('embedded', folder / 'pinned').read_bytes()).hexdigest()
    plugin = {m['id']: {'plugin': m['id'], 'config': sample(m['config'])}
              for _, m in tables.manifests()}
    tools = [{'id': m['id'], 'config': sample(m['config'])} for _, m in tables.manifests()
             if m['kind'] == 'tool']
    http = plugin['dev.yoi.ingress-http']
    rules = plugin['dev.yoi.policy-rules']['config']['rules']
    rules.append({**rules[0], 'name': 'y', 'paths': ['x'], 'hosts': ['x']})
    return {
        '$schema': 'config.schema.json',
        'worker_program': 'yoi-worker',
        'plugin_path': ['pinned', *configs.PLUGIN_PATH[:2]], 'drop_in': ['empty'],
        'plugins': [{'id': 'dev.yoi.embedded', 'isolation': 'none',
                     'confine': 'required', 'grants': ['model:*'],
                     'digest': f'sha256:{digest}'}, *tools],
        'bundles': ['team.json', {'file': 'lab.json', 'runtimes': ['a']}],
        'runtimes': [{'id': 'a', 'display_name': 'A', 'default_profile': 'builtin:companion',
                      'bundle': 'team', 'require_bundle': 'never', 'workspaces': ['acme'],
                      'deadline_ms': 1000, **plugin['dev.yoi.embedded']},
                     {'id': 'b', **plugin['dev.yoi.local-compat']},
                     {'id': 'c', **plugin['dev.yoi.fs-store']},
                     {'id': 'd', **plugin['dev.yoi.http-remote']}],
        'models': [{'name': 'm', **plugin['dev.yoi.model-openai']},
                   {'name': 's', **plugin['dev.yoi.model-script']}],
        'ingress': [{'surface': 'browser', 'listen': '127.0.0.1:0', 'hosts': ['yoi.test:80'],
                     **http},
                    {'surface': 'runtime', 'listen': '127.0.0.1:0', 'runtime': 'a',
                     'token': 'secret:door', 'insecure': False, **http}],
        'policy': [plugin['dev.yoi.policy-rules']],
        'local': {'secrets': {'llm': {'env': 'LLM'}, 'door': {'file': 'door.token'}},
                  'mounts': {'w': {'path': 'empty', 'mode': 'rw'}},
                  'network': {'docs': ['example.org:443']},
                  'shell': {'w': {'commands': ['*'], 'network': False, 'cpu_s': 1, 'wall_ms': 1,
                                  'memory_bytes': 1048576, 'processes': 1, 'file_bytes': 1,
                                  'env': {'LANG': 'C'}}},
                  'git': {'w': {'commands': ['status'], 'remotes': ['origin'], 'network': False,
                                'cpu_s': 1, 'wall_ms': 1, 'memory_bytes': 1048576,
                                'processes': 1, 'file_bytes': 1}}},
        'step': False, 'loops': 2, 'log': {'level': 'info', 'format': 'json', 'audit': 'all'},
        'drain_ms': 1000}


def places(value, sub, path, at):
    """(path, schema, keys that lead to the value) of all that stands in it."""
    yield path, sub, at
    if isinstance(value, list):
        for i, v in enumerate(value):
            yield from places(v, sub.get('items', {}), f'{path}[]', [*at, i])
    if isinstance(value, dict):
        for k, v in value.items():
            known = sub.get('properties', {}).get(k)
            deeper = known or sub.get('additionalProperties')
            if isinstance(deeper, dict):
                name = k if known else 'NAME'
                yield from places(v, deeper, f'{path}.{name}' if path else name, [*at, k])


def entries(config):
    """{name: (schema, keys in the config)}: the host's table, and each plugin's."""
    out = {'host': (tables.load(tables.TABLE), [])}
    manifest = {m['id']: m for _, m in tables.manifests()}
    for section in tables.SECTION.values():
        for i, entry in enumerate(config[section]):
            out[entry['plugin']] = manifest[entry['plugin']]['config'], [section, i, 'config']
    for i, entry in enumerate(config['plugins']):
        if 'config' in entry:  # a tool's
            out[entry['id']] = manifest[entry['id']]['config'], ['plugins', i, 'config']
    return out


def found(config, at):
    for k in at:
        config = config[k]
    return config


def changed(config, at, value):
    out = copy.deepcopy(config)
    if not at:
        return value
    found(out, at[:-1])[at[-1]] = value
    return out


def wrong_and_right(value, sub):
    """(what it is, the value) beside and at every edge of a table's row."""
    kind = sub.get('type')
    if isinstance(kind, list):  # of several types: 1 is none of them
        assert 'integer' not in kind
        yield 'another type', 1
        kind = {dict: 'object', list: 'array', str: 'string'}[type(value)]
    others = {'object': [], 'array': {}, 'string': 1, 'integer': '1', 'boolean': 'x'}
    if kind:
        if kind == sub['type']:
            yield 'another type', others[kind]
        yield 'null', None
    if 'enum' in sub:
        yield 'no such word', 'nope'
        yield from ((f'{word}', word) for word in sub['enum'])
    if kind == 'integer':
        yield 'a fraction', sub['minimum'] + 0.5
        for n in (sub['minimum'], sub['maximum']):
            yield from ((str(m), m) for m in (n - 1, n, n + 1))
    if kind == 'boolean':
        yield from (('true', True), ('false', False))
    if kind == 'string' and 'enum' not in sub:
        yield 'empty', ''
        yield 'too long', 'x' * (sub['maxLength'] + 1) if 'maxLength' in sub else None
        yield 'a variable', 'http://${HOME}'
    if kind == 'object':
        yield 'one more key', {**value, 'no-such-key': 1}
        for k in value:
            yield f'without {k}', {n: v for n, v in value.items() if n != k}


# What the host refuses and a schema cannot: what else there is, and where files are.
HOST_ONLY = {
    ('plugin_path[]', 'a variable'), ('drop_in[]', 'empty'),
    ('plugins[].isolation', 'process'),  # of a runtime
    ('local', 'without secrets'), ('', 'without local'), ('local.secrets', 'without llm'),
    ('local.secrets', 'without door'),
    ('local.mounts.NAME.path', 'too long'), ('', 'without runtimes'), ('', 'without bundles'),
}


def cases(config, name):
    table, prefix = entries(config)[name]
    for path, sub, at in places(found(config, prefix), table, '', prefix):
        for what, value in wrong_and_right(found(config, at), sub):
            yield path, what, at, changed(config, at, value)


def test_a_config_with_every_key_is_right(tmp_path):
    config = full(tmp_path)
    assert set(entries(config)) == {'host', *(m['id'] for _, m in tables.manifests())}
    for table, prefix in entries(config).values():
        have = {path for path, _, _ in places(found(config, prefix), table, '', prefix)}
        assert {path for path, _ in tables.walk(table)} <= have
    assert schema.errors(config) == []
    path = tmp_path / 'c.json'
    path.write_text(json.dumps(config))
    code, said = check(path, tmp_path)
    assert code == 0, said


@pytest.mark.parametrize('name', ['host', *(m['id'] for _, m in tables.manifests())])
def test_the_host_and_the_schema_have_one_verdict_on_every_edge(tmp_path, name):
    config, path = full(tmp_path), tmp_path / 'c.json'
    differ, codes = [], set()
    for where, what, at, case in some(list(cases(config, name))):
        path.write_text(json.dumps(case))
        code, said = check(path, tmp_path)
        marks = schema.errors(case)
        codes.add(code)
        host_only = name == 'host' and (where, what) in HOST_ONLY
        if (code == 0) != (not marks) and not (code and host_only):
            differ.append((at, what, said, marks[:2]))
    assert not differ, '\n'.join(map(str, differ))
    has_keys = list(tables.walk(entries(config)[name][0])) != []
    assert codes == ({0, 1} if has_keys else {1}) or EVERY > 1


# ---- what stands in code -------------------------------------------------------------

EMBEDDED = {'id': 'a', 'plugin': 'dev.yoi.embedded'}
DOOR = {'plugin': 'dev.yoi.ingress-http', 'listen': '127.0.0.1:0'}
SECRETS = {'secrets': {'k': {'env': 'K'}}}


def browser(**keys):
    return {'ingress': [{**DOOR, 'surface': 'browser', **keys}]}


def runtime(**keys):
    entry = {**DOOR, 'surface': 'runtime', 'runtime': 'a', **keys}
    return {'runtimes': [EMBEDDED], 'local': SECRETS,
            'ingress': [{k: v for k, v in entry.items() if v is not None}]}


def model(name):
    return {'models': [{'name': name, 'plugin': 'dev.yoi.model-script'}]}


def granted(grant):
    return {'plugins': [{'id': 'dev.yoi.embedded', 'grants': [grant]}]}


def network(entry):
    return {'local': {'network': {'a': [entry]}}}


def shell(**keys):
    return {'local': {'shell': {'a': {'commands': ['a'], **keys}}}}


def git(**keys):
    return {'local': {'git': {'a': {'commands': ['a'], **keys}}}}


RIGHT = [
    {}, browser(), runtime(token='secret:k'), runtime(insecure=True), model('a.B_9-'),
    model('m' * 64), granted('model:*'), granted('model:main'), {'step': True, 'loops': 1},
    browser(hosts=['a', 'a:80', '[::1]:80']), runtime(token='secret:k', listen='0.0.0.0:65535'),
    *(browser(listen=a) for a in ('localhost:80', '[::1]:0', '127.9.9.9:1', '[0:0:0:0:0:0:0:1]:1',
                                   'socket:web', 'socket:' + 'a' * 64)),
    runtime(insecure=True, listen='socket:a.B_9-'),
    *({'runtimes': [{**EMBEDDED, 'id': i}]} for i in ('a', '0', 'a.b_c-d', 'a' * 64)),
    {'local': {'secrets': {'k': {'file': '${CREDENTIALS_DIRECTORY}/k'}}}},
    *(granted(g) for g in ('mount:*', 'mount:a', 'mount:a:ro', 'mount:*:rw', 'net:a', 'shell:*',
                           'git:a.B_9-')),
    *(network(e) for e in (
        'a:1', 'A.b-c.d_e:65535', '*.org:443', 'example.org.:443', '127.0.0.1:80', '[::1]:80',
        '[::ffff:1.2.3.4]:80', '1a.b1:80', '1.a:80', 'a' * 63 + ':80', '.'.join('a' * 127) + ':1')),
    *(shell(commands=[c]) for c in ('*', 'ls', 'g++', 'python3.11', '_a', '7z', 'a' * 64)),
    shell(env={'A_1': 'x', '_': ''}), shell(env={'A': 'my secret:'}),
    *(git(commands=[c]) for c in ('status', 'ls-files', '*')),
    *(git(remotes=[r]) for r in ('origin', 'https://example.org/x.git', 'git@example.org:x')),
    {'local': {'mounts': {'A.b_9-': {'path': '.'}}}},
    {'bundles': []}, {'runtimes': [{**EMBEDDED, 'default_profile': 'named:x'}]},
    *({'runtimes': [{**EMBEDDED, 'require_bundle': r}]} for r in ('never', 'tools', 'always')),
    {'runtimes': [{**EMBEDDED, 'workspaces': [f'w{n}' for n in range(64)]}]},
]
WRONG = [
    browser(runtime='a'), browser(token='secret:k'), browser(insecure=False),
    runtime(), runtime(token='secret:k', insecure=True), runtime(insecure=False),
    runtime(token='secret:k', hosts=['a']), runtime(token='secret:k', runtime=None),
    runtime(insecure=True, listen='0.0.0.0:0'), runtime(token='k' * 32), runtime(token='secret:'),
    model('a b'), model('m' * 65), model('\u00e9'), granted('model:'), granted('tool:*'),
    granted('models:main'), {'step': True, 'loops': 2}, browser(hosts=['http://a']),
    *(browser(listen=a) for a in (
        '38800', ':80', '127.0.0.1', '127.0.0.1:', '127.0.0.1:65536', '127.0.0.1:080', '127.1:80',
        '256.0.0.1:80', 'example.org:80', '::1:80', '[::1]', '0.0.0.0:80', '[::]:80', '10.0.0.1:80',
        'unix:', 'unix:run/', 'socket:', 'socket:a b', 'socket:a:80',
        'http://127.0.0.1:80', '127.0.0.1:80 ', '[127.0.0.1]:80')),
    *({'runtimes': [{**EMBEDDED, 'id': i}]} for i in ('', 'A', '-a', '.a', 'a b', 'a/b', 'a' * 65)),
    *({'runtimes': [{**EMBEDDED, 'default_profile': p}]} for p in (
        'companion', 'named:', 'builtin:', 'builtin:a b', 'named:a b', 'other:x')),
    *({'runtimes': [{**EMBEDDED, 'workspaces': w}]} for w in (
        [], ['A'], ['a b'], [''], 'a', [1], [f'w{n}' for n in range(65)])),
    *({'runtimes': [{**EMBEDDED, 'require_bundle': r}]} for r in ('', 'Always', True)),
    {'bundles': ['']}, {'bundles': [{}]}, {'bundles': [{'file': ''}]}, {'bundles': ['${HOME}/b']},
    {'bundles': 'b.json'}, {'bundles': [{'file': 'b.json', 'runtimes': ['A']}]},
    {'bundles': [{'file': '${HOME}/b'}]}, {'bundles': [f'{n}.json' for n in range(65)]},
    *({'local': {'secrets': s}} for s in (
        {'k': {}}, {'k': {'env': 'A', 'file': 'b'}}, {'k': {'env': 'A-B'}}, {'k': {'env': '1A'}},
        {'a b': {'env': 'A'}}, {'k': {'env': '${A}'}}, {'k': 'value'})),
    {'runtimes': [{'id': 'a', 'plugin': 'dev.yoi.model-script'}]},
    {'models': [{'name': 'm', 'plugin': 'dev.yoi.model-openai'}]},
    *({'plugins': [{'id': 'dev.yoi.embedded', 'digest': d}]} for d in (
        'sha256:', 'sha256:' + 'A' * 64, 'sha256:' + 'a' * 63, 'a' * 64, 'sha512:' + 'a' * 64)),
    {'drop_in': ['${HOME}']}, {'plugins': [{'id': 'dev.yoi.embedded', 'isolation': 'cell'}]},
    {'models': [{'name': f'm{n}', 'plugin': 'dev.yoi.model-script'} for n in range(5000)]},
    *(granted(g) for g in ('mount:', 'mount:a:', 'mount:a:rx', 'mount:a:ro:ro', 'net:a:ro',
                           'net:a b', 'mount:**', 'disk:a', 'mount', '*')),
    *(network(e) for e in (
        'a', 'a:', 'a:0', 'a:65536', 'a:*', 'a:080', ':80', '*:80', '*.:80', '*a.org:80', 'a..b:80',
        '.a:80', 'a b:80', 'a/b:80', 'http://a:80', '127.1:80', '0x7f000001:80', '1:80', 'a.0X1:80',
        '127.0.0.256:80', '::1:80', '[::1', '[::1]', '[127.0.0.1]:80', '[fe80::1%0]:80',
        '\u00e9.org:80', '${A}:80', 'a' * 64 + ':80', '.'.join('a' * 128) + ':1', 'a.1.:80')),
    *(shell(commands=[c]) for c in ('/bin/ls', '-l', '.', '..', 'a b', 'a*', '**', '', 'a' * 65)),
    *(shell(env=e) for e in ({'A-B': ''}, {'1': ''}, {'': ''}, {'A': 'secret:a'}, {'A': '${B}'},
                             {'A': 1}, {f'A{i}': '' for i in range(65)})),
    *(git(commands=[c]) for c in ('**', '-c', 'Status', 'a b', 'a_b', '')),
    *(git(remotes=[r]) for r in ('-u', 'a b', '', 'a\tb', '${A}', 'a' * 2049)),
    shell(commands=[]), shell(commands=['a'] * 257), git(commands=[]), git(remotes=['a'] * 257),
    *({'local': {'mounts': m}} for m in (
        {'a b': {'path': '.'}}, {'a': '.'}, {'a': {}}, {'a': {'path': '${HOME}'}},
        {'a': {'path': '.', 'mode': 'wo'}}, {f'a{i}': {'path': '.'} for i in range(65)})),
    *({'local': {s: {'a b': v}}} for s, v in (
        ('network', ['a:1']), ('shell', {'commands': ['a']}), ('git', {'commands': ['a']}))),
]
# What docs/config.md says that the schema does not refuse.
LIMITS = [
    {'bundles': ['none.json']}, {'bundles': ['.']},
    {'runtimes': [{**EMBEDDED, 'bundle': 'none'}]},
    {'runtimes': [{**EMBEDDED, 'workspaces': ['a', 'a']}]},
    {'runtimes': [EMBEDDED, EMBEDDED]},
    {'ingress': [{**DOOR, 'surface': 'browser', 'listen': '127.0.0.1:80'}] * 2},
    {'runtimes': [{'id': 'a', 'plugin': 'org.example.none'}]},
    {'plugins': [{'id': 'dev.yoi.embedded', 'digest': 'sha256:' + 'a' * 64}]},
    runtime(token='secret:k', runtime='b'), runtime(token='secret:other'), {'drop_in': ['none']},
    {'local': {'mounts': {'a': {'path': 'none'}}}}, git(remotes=['a' * 2048] * 33),
    network('[::1::]:80'), network('[:::]:80'),
    {'models': [{'name': 'm', 'plugin': 'dev.yoi.model-openai', 'config': {
        'base_url': 'http://h/v1', 'parameters': {'user': '${USER}'}}}]},
    {'runtimes': [{**EMBEDDED, 'display_name': '\u00e9' * 129}]},
    '{"loops": 1, "loops": 2}',
]


def verdicts(config, folder):
    text = config if isinstance(config, str) else json.dumps(config)
    path = folder / 'c.json'
    path.write_text(text)
    code, said = check(path, folder)
    return code == 0, not schema.errors(text), f'{text[:200]}: {said}'


@pytest.mark.parametrize('name,host,editor', [('RIGHT', True, True), ('WRONG', False, False),
                                              ('LIMITS', False, True)])
def test_rules_in_code_are_in_the_schema_or_among_its_limits(tmp_path, name, host, editor):
    for config in some(globals()[name]):
        by_host, by_editor, said = verdicts(config, tmp_path)
        assert (by_host, by_editor) == (host, editor), said


def test_comments_are_taken_out_as_the_host_does():
    assert schema.plain('{"a": "//x /* */", /* "b" */ "c": 1 // d\n}') == {'a': '//x /* */', 'c': 1}
