"""What can never be in a bundle: secrets anywhere, places anywhere but in prose.

Planted values are put together from parts, so that no scanner of secrets takes
this file for one that has some.
"""
import base64
import copy
import json
import random

from test_bundle_reader import BASE, FORBIDDEN, put, read

BODY = 'a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8s9T0' * 4
HEX = '0123456789abcdef' * 8
CAPS = 'A1B2C3D4E5F6G7H8I9J0' * 4
JWT_HEAD = base64.urlsafe_b64encode(b'{"alg":"HS256"}').decode().rstrip('=')
JWT_BODY = base64.urlsafe_b64encode(b'{"sub":"1234567890"}').decode().rstrip('=')


def pem(kind, body=BODY):
    return f'-----BEGIN {kind}PRIVATE' + f' KEY-----\n{body[:64]}\n{body[:64]}\n-----END'


CREDENTIALS = [(f'credential.{rule}', ''.join(parts)) for rule, *parts in (
    ('openai', 's', 'k-', BODY[:48]), ('openai', 's', 'k-proj-', BODY[:64]),
    ('openai', 's', 'k-svcacct-', BODY[:64]), ('openai', 's', 'k-', HEX[:32]),
    ('anthropic', 's', 'k-ant-api03-', BODY[:93]), ('anthropic', 's', 'k-ant-admin01-', BODY[:93]),
    ('openrouter', 's', 'k-or-v1-', HEX[:64]),
    ('google', 'AI', 'za', BODY[:35]), ('google', 'ya', '29.', BODY[:60]),
    ('google', 'GOC', 'SPX-', BODY[:28]),
    ('aws', 'AK', 'IA', CAPS[:16]), ('aws', 'AS', 'IA', CAPS[:16]),
    ('aws', 'AB', 'IA', CAPS[:16]), ('aws', 'AC', 'CA', CAPS[:16]),
    ('aws', 'aws_secret_', 'access_key = ', BODY[:40]),
    ('aws', 'AWS_SECRET_', 'ACCESS_KEY=', BODY[:40]),
    ('azure', 'Account', 'Key=', BODY[:86], '=='),
    ('azure', 'SharedAccess', 'Key=', BODY[:43], '='),
    ('azure', 'abc', '8', 'Q~', BODY[:34]), ('azure', 'xyz', '7', 'Q~', BODY[:31]),
    ('github', 'gh', 'p_', BODY[:36]), ('github', 'gh', 'o_', BODY[:36]),
    ('github', 'gh', 'u_', BODY[:36]), ('github', 'gh', 's_', BODY[:36]),
    ('github', 'gh', 'r_', BODY[:36]), ('github', 'github', '_pat_', BODY[:22], '_', BODY[:59]),
    ('gitlab', 'gl', 'pat-', BODY[:20]), ('gitlab', 'gl', 'ptt-', BODY[:40]),
    ('gitlab', 'gl', 'dt-', BODY[:20]), ('gitlab', 'gl', 'rt-', BODY[:20]),
    ('gitlab', 'gl', 'cbt-', BODY[:20]),
    ('slack', 'xo', 'xb-', '123456789012-', BODY[:24]),
    ('slack', 'xo', 'xp-', '123456789012-', BODY[:24]),
    ('slack', 'xo', 'xa-2-', BODY[:24]), ('slack', 'xo', 'xr-', BODY[:24]),
    ('slack', 'xo', 'xs-', BODY[:24]), ('slack', 'xo', 'xe.xoxp-1-', BODY[:40]),
    ('slack', 'xa', 'pp-1-', BODY[:40]),
    ('slack', 'hooks.slack', '.com/services/', 'T', CAPS[:9], '/B', CAPS[:9], '/', BODY[:24]),
    ('stripe', 's', 'k_live_', BODY[:24]), ('stripe', 's', 'k_test_', BODY[:24]),
    ('stripe', 'r', 'k_live_', BODY[:24]), ('stripe', 'r', 'k_test_', BODY[:24]),
    ('stripe', 'wh', 'sec_', BODY[:32]),
    ('huggingface', 'h', 'f_', BODY[:34]), ('npm', 'np', 'm_', BODY[:36]),
    ('pypi', 'py', 'pi-', BODY[:100]), ('digitalocean', 'do', 'p_v1_', HEX[:64]),
    ('sendgrid', 'S', 'G.', BODY[:22], '.', BODY[:43]),
    ('shopify', 'shp', 'at_', HEX[:32]), ('shopify', 'shp', 'ss_', HEX[:32]),
    ('groq', 'g', 'sk_', BODY[:52]), ('xai', 'x', 'ai-', BODY[:80]),
    ('replicate', 'r', '8_', BODY[:37]), ('perplexity', 'p', 'plx-', BODY[:48]),
    ('nvidia', 'nv', 'api-', BODY[:64]), ('docker', 'dckr', '_pat_', BODY[:27]),
    ('vault', 'h', 'vs.', BODY[:90]), ('grafana', 'gl', 'sa_', BODY[:32], '_', HEX[:8]),
    ('databricks', 'da', 'pi', HEX[:32]), ('age', 'AGE-SECRET', '-KEY-1', CAPS[:58]),
    ('telegram', '123456789', ':A', 'A', BODY[:33]), ('linear', 'lin', '_api_', BODY[:40]),
    ('atlassian', 'ATA', 'TT3', BODY[:180]),
    ('jwt', JWT_HEAD, '.', JWT_BODY, '.', BODY[:43]), ('jwt', 'Bearer ', JWT_HEAD, '.', JWT_BODY,
                                                       '.', BODY[:86]),
    ('private-key', pem('')), ('private-key', pem('RSA ')), ('private-key', pem('EC ')),
    ('private-key', pem('OPENSSH ')), ('private-key', pem('ENCRYPTED ')),
    ('private-key', pem('').replace('\n', '\\n')),
    ('url', 'https:/', '/me:', 'hunter2@example.org/'),
    ('url', 'postgres:/', '/app:', 's3cret@db/x'),
    ('url', 'redis:/', '/:', 'p4ss@cache:6379'), ('url', 'git+https:/', '/ci:', 'tok-1@host/a.git'),
    ('url', 'amqp:/', '/guest:', 'guest@mq'), ('url', 'https:/', '/u:', 'a%40b@[2001:db8::1]/'),
)]
PLACES = [
    ('path.absolute', '/etc/passwd'), ('path.absolute', '/home/me/.ssh/id_ed25519'),
    ('path.absolute', '/'), ('path.absolute', '/var/lib/yoi'),
    ('path.home', '~/secrets'), ('path.home', '~'), ('path.home', '~root/x'),
    ('path.home', '$HOME/x'), ('path.home', '${HOME}/x'), ('path.home', '%USERPROFILE%\\x'),
    ('path.home', '%AppData%\\x'),
    ('path.unc', '\\\\server\\share'), ('path.unc', '//server/share'),
    ('path.drive', 'C:\\Users\\me'), ('path.drive', 'd:/data'),
    ('path.socket', '/run/yoi.sock'), ('path.socket', '/tmp/x.socket'),
    ('path.socket', '~/run/a.sock'),
    ('path.session', '/var/lib/yoi/sessions/7/log'), ('path.session', '/x/session/9/y'),
    ('path.cache', '/home/me/.cache/yoi'), ('path.cache', '~/Library/Caches/yoi/x'),
    ('url.file', 'file:///etc/passwd'), ('url.file', 'FILE:x'), ('url.unix', 'unix:/run/x.sock'),
    ('url.unix', 'unix:@abstract'),
    ('endpoint.private', 'http://localhost:8080/v1'), ('endpoint.private', 'http://127.0.0.1/'),
    ('endpoint.private', 'http://10.1.2.3:80'), ('endpoint.private', 'https://192.168.0.1/x'),
    ('endpoint.private', 'http://172.16.0.9/'), ('endpoint.private', 'http://169.254.169.254/x'),
    ('endpoint.private', 'http://[::1]:80/'), ('endpoint.private', 'https://llm.internal/v1'),
    ('endpoint.private', 'tcp://db.local:5432'),
]
PROSE = ['/prompts/0/text', '/policies/0/rules/0/reason']
FIELDS = ['/schema', '/id', '/revision', '/workspace_id', '/created_at', '/provenance/source',
          '/provenance/detail', '/language', '/workspace/name', '/workspace/project',
          '/prompts/0/name', '/prompts/0/media_type', '/models/0/name', '/models/0/ref',
          '/tools/0/name', '/tools/0/plugin', '/tools/0/policy', '/tools/0/grants/0',
          '/plugins/0/id', '/plugins/0/version', '/plugins/0/digests/0', '/grants/0',
          '/policies/0/name', '/policies/0/plugin', '/policies/0/rules/0/name',
          '/policies/0/rules/0/decision', '/policies/0/rules/0/tools/0',
          '/policies/0/rules/0/plugins/0', '/policies/0/rules/0/grants/0',
          '/policies/0/rules/0/arguments/mode/0', '/policies/0/rules/0/paths/0',
          '/policies/0/rules/1/hosts/url', '/workflows/0/name', '/workflows/0/ref',
          '/profiles/0/name', '/profiles/0/prompt', '/profiles/0/model', '/profiles/0/tools/0',
          '/profiles/0/workflows/0', '/models/0/parameters/reasoning_effort']


def planted(value, pointer):
    bundle = copy.deepcopy(BASE)
    put(bundle, pointer, value)
    return bundle


def refused(answer, rule, pointer, value):
    """By this rule and at this place, and the value stands nowhere in the answer."""
    assert answer.get('code') == FORBIDDEN, (rule, pointer, answer)
    assert (rule, pointer) in {(f['rule'], f['pointer']) for f in answer['findings']}, answer
    assert value not in json.dumps(answer) and json.dumps(value)[1:-1] not in json.dumps(answer)


def test_credentials_are_refused_in_every_kind_of_field():
    assert len(CREDENTIALS) + len(PLACES) >= 80
    cases = [(rule, value, field) for rule, value in CREDENTIALS for field in PROSE + FIELDS]
    for (rule, value, field), answer in zip(cases, read(*(planted(v, f) for _, v, f in cases))):
        refused(answer, rule, field, value)


def test_credentials_are_refused_within_prose_and_escapes():
    cases = [(rule, shape(value)) for rule, value in CREDENTIALS for shape in (
        lambda v: f'Use "{v}", please.', lambda v: f'key={v}\n', lambda v: f'é{v}é',
        lambda v: 'x' * 5000 + f' ({v})')]
    answers = read(*(planted(text, PROSE[0]) for _, text in cases))
    for (rule, text), answer in zip(cases, answers):
        refused(answer, rule, PROSE[0], text)
    whole = json.dumps(planted('HERE', PROSE[0]))
    answers = read(*(whole.replace('HERE', ''.join(f'\\u{ord(c):04x}' for c in value))
                     for _, value in CREDENTIALS))
    for (rule, value), answer in zip(CREDENTIALS, answers):
        refused(answer, rule, PROSE[0], value)


def test_credentials_are_refused_in_keys_and_unknown_members_and_not_shown():
    bundles = []
    for _, value in CREDENTIALS:
        bundles += [
            planted(1, f'/profiles/0/limits/{escaped(value)}'),
            planted([{value: 1}], '/extra'), planted({'a': [value]}, '/extra'),
            planted(1, f'/models/0/parameters/{escaped(value)}'),
            planted('x', f'/policies/0/rules/0/arguments/{escaped(value)}'),
            '{%s: 1, %s: 2}' % (json.dumps(value), json.dumps(value))]
    answers = iter(read(*bundles))
    for rule, value in CREDENTIALS:
        in_key, below, beside, parameter, argument, twice = (next(answers) for _ in range(6))
        refused(in_key, rule, '/profiles/0/limits', value)
        refused(below, rule, '/extra/0', value)
        refused(beside, rule, '/extra/a/0', value)
        refused(parameter, rule, '/models/0/parameters', value)
        refused(argument, rule, '/policies/0/rules/0/arguments', value)
        assert twice['code'] == 'bundle_invalid' and value not in json.dumps(twice), rule


def escaped(value):
    return value.replace('~', '~0').replace('/', '~1')


def test_places_are_refused_in_every_field_but_prose():
    cases = [(rule, value, field) for rule, value in PLACES for field in FIELDS
             if not field.endswith('reasoning_effort')]
    for (rule, value, field), answer in zip(cases, read(*(planted(v, f) for _, v, f in cases))):
        refused(answer, rule, field, 'a value that is not there' if len(value) < 3 else value)
    prose = [(value, field) for _, value in PLACES for field in PROSE]
    for (value, field), answer in zip(prose, read(*(planted(v, f) for v, f in prose))):
        assert 'digest' in answer, (value, field, answer)


HONEST = [
    'Look at /etc/hosts before you change it.', 'The socket is /run/app.sock; do not touch it.',
    'Never ask for a password.', 'password: ask the person', 'A key begins with sk- and is secret.',
    'Keys such as sk-... or sk-proj-... are masked.', 'sk-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx',
    'sk-your-api-key-goes-here-and-nowhere-else', 'AKIA is how access keys of AWS begin.',
    'Send "Authorization: Bearer TOKEN".', 'Bearer token', 'ghp_ and gho_ are prefixes.',
    'ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx', 'eyJ is the start of many tokens, eyJ...eyJ....x',
    'Lines like -----BEGIN PRIVATE' ' KEY----- must never be printed.',
    'postgres://USER:<password>@HOST/db', 'https://user:$PASSWORD@host/',
    'https://{user}:{pass}@x/',
    'redis://:***@cache', 'mailto:me@example.org', 'Write to me@example.org: at once.',
    'https://example.org/@user:me', 'http://localhost:8080/ is where the page is.',
    'ssh://git@github.com/a/b.git', 'git@github.com:a/b.git', 'risk-averse, task-oriented, disk-2',
    'mask-1234567890-1234567890-abcdef', 'C:\\Users\\me and ~/.cache are places.',
    'sha256:' + HEX[:64], 'commit ' + HEX[:40], '550e8400-e29b-41d4-a716-446655440000',
    'npm_config_registry and npm_package_version are set.', 'hf_hub_download() fetches a file.',
    'pypi-server and docker pull', 'xoxb-... for bots', 'A base64 text: ' + 'QUJD' * 40,
    'SG. is short for Singapore.', 'The ratio is 12345678:AA in the table.', 'AccountKey=...',
    'whsec_... and sk_test_... come from the dashboard.', 'AIza... keys are public by design.',
    'Umlauts äöü, 漢字, emoji 🙂 and "quotes" \\ slashes.', 'key-value, re_live_action, sk_live_',
    'x' * 100000,
]
LABELS = ['Acme', 'Acme & Sons (Berlin)', 'Größe 漢字', "People's project #7", 'a.b_c-d+e', '!']


def test_honest_texts_pass():
    cases = [(text, PROSE[0]) for text in HONEST] + [
        (text, PROSE[1]) for text in HONEST if len(text.encode()) <= 256] + [
        (text, '/workspace/name') for text in LABELS] + [
        (text, '/policies/0/rules/0/arguments/mode/0') for text in (
            '', '*', 'rm -rf *', 'https://docs.example.org/*', 'cache/x', 'a.sock', 'GET *')] + [
        (text, '/policies/0/rules/0/paths/0') for text in (
            'sessions/**', 'cache/*', '**/*.key', '.env', '{a,b}/c', 'ä/*')] + [
        (text, '/created_at') for text in ('2024-02-29T23:59:59.123456789+14:00',
                                           '2000-01-01T00:00:00-00:00')] + [
        (text, '/language') for text in ('de', 'pt-BR', 'zh-Hant-TW', 'sl-rozaj-biske-1994',
                                         'en-a-bbb-x-a', 'x-private', 'de-1996', 'es-419')] + [
        (text, '/plugins/0/version') for text in ('=1', '>=1.0 <2', '<3.0.1', '>1 <=2.5.7')]
    for (text, field), answer in zip(cases, read(*(planted(t, f) for t, f in cases))):
        assert 'digest' in answer, (text[:80], field, answer)


# ---- mutations --------------------------------------------------------------------------
def mutation(rng, text):
    """One small change of the bytes: one flipped, taken out, put in, or moved."""
    data, at = bytearray(text), rng.randrange(len(text))
    kind = rng.randrange(5)
    if kind == 0:
        data[at] ^= 1 << rng.randrange(8)
    elif kind == 1:
        del data[at:at + rng.choice((1, 1, 2, 8, 64))]
    elif kind == 2:
        data[at:at] = bytes([rng.choice(b'{}[]",:\\/ \n\0az09\xc3\xff')])
    elif kind == 3:
        data[at:at] = data[at:at + rng.randrange(1, 40)]
    else:
        other = rng.randrange(len(text))
        data[at], data[other] = data[other], data[at]
    return bytes(data)


def test_a_thousand_mutations_are_refused_at_a_place_or_are_other_bundles():
    rng = random.Random(20260626)
    whole = json.dumps(BASE, indent=1).encode()
    digest = read(whole)[0]['digest']
    texts = [t for t in (mutation(rng, whole) for _ in range(1100)) if t != whole]
    assert len(texts) >= 1000
    accepted = 0
    for text, answer in zip(texts, read(*texts)):
        if 'digest' in answer:
            accepted += 1
            assert answer['digest'] != digest
        else:
            assert set(answer['details']) == {'pointer', 'rule'} and answer['findings'], text
    assert 20 < accepted < len(texts) / 2
