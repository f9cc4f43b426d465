"""docs/openapi.yaml: valid, the same as ops.h, and enough to make a client of.

That each answer of the black-box tests fits it is the business of
tests/openapi/check.mjs, which tests/run.py runs behind them.
"""
import json
import pathlib
import re
import shutil
import subprocess
import tempfile

import pytest
import yaml

from lib import configs, tables, wait
from lib.host import ROOT, TOKEN

DOCUMENT = ROOT / 'docs/openapi.yaml'
NPM = ROOT / 'build/npm'
DOC = yaml.safe_load(DOCUMENT.read_text())
SCHEMAS = DOC['components']['schemas']
METHODS = {'get', 'put', 'post', 'delete', 'head', 'options', 'patch', 'trace'}
# No operations: no runtime, no host is asked.
BESIDE = {('/healthz', 'GET'), ('/', 'GET'), ('/login', 'POST'), ('/logout', 'POST')}


def operations():
    return {(path, m.upper()): op for path, item in DOC['paths'].items()
            for m, op in item.items() if m in METHODS}


def resolved(node):
    while '$ref' in node:
        at = DOC
        for part in node['$ref'][2:].split('/'):
            at = at[part.replace('~1', '/').replace('~0', '~')]
        node = at
    return node


def parameters(path, op, where):
    both = DOC['paths'][path].get('parameters', []) + op.get('parameters', [])
    return {p['name']: p for p in map(resolved, both) if p['in'] == where}


def rows():
    """(operation, path, surface) of every route in ops.h; host: on both."""
    for op in tables.OPS:
        for path, surface in ((op.v1, 'v1'), (op.api, 'api')):
            if path and not (surface == 'api' and op.v1 == op.api):
                yield op, path, 'host' if op.v1 == op.api else surface


def test_every_operation_and_nothing_else():
    there = operations()
    table = {(path, op.method): op for op, path, _ in rows()}
    assert set(there) == set(table) | BESIDE
    for key, op in table.items():
        assert there[key]['x-yoi-operation'] == op.id, key
    ids = [op['operationId'] for op in there.values()]
    assert len(ids) == len(set(ids))


def test_statuses_agree():
    there = operations()
    for op, path, _ in rows():
        answers = there[(path, op.method)]['responses']
        assert str(op.status) in answers, op.id
        kept = {'304'} if op.id in ('bundle.get', 'bundle.have') else set()
        assert all(s == 'default' or s.startswith('2') for s in set(answers) - kept), op.id
        assert kept <= set(answers), op.id
        assert resolved(answers['default']) is DOC['components']['responses']['Error']


def test_codes_kinds_and_states_are_the_tables():
    code = SCHEMAS['ErrorCode']
    assert code['enum'] == [c.name for c in tables.CODES]
    assert code['x-status'] == {c.name: c.status for c in tables.CODES}
    assert SCHEMAS['Operation']['enum'] == [op.id for op in tables.OPS]
    assert SCHEMAS['TurnReason']['enum'] == [reason for _, reason in tables.TURN_ENDS]
    assert {s for s, _ in tables.TURN_ENDS} < set(SCHEMAS['TurnState']['enum'])
    assert SCHEMAS['ModelErrorKind']['enum'] == list(tables.MODEL_ERRORS)
    kinds = [e.name for e in tables.EVENTS if e.cls not in ('MODEL', 'TOOL') and e.name != 'result']
    event = SCHEMAS['Event']
    assert list(event['discriminator']['mapping']) == kinds
    shapes = [resolved(e) for e in event['oneOf']]
    assert [s['properties']['event']['const'] for s in shapes] == kinds
    for kind, shape in zip(kinds, shapes):
        must = set(shape['properties']['data'].get('required', []))
        assert kind not in tables.DURABLE or {'sequence', 'at'} <= must, kind
        assert kind not in tables.LIVE or {'turn_id', 'step'} <= must, kind


def test_fields_are_the_tables():
    """Query parameters and members of bodies, with their bounds."""
    there = operations()
    own = {'wait', 'timeout'}  # the ingress' own; `limit` of batches is, too
    for op, path, _ in rows():
        entry = there[(path, op.method)]
        query = parameters(path, entry, 'query')
        fields = {f.name: f for f in tables.FIELDS if f.op == op.symbol}
        wanted = {n for n, f in fields.items() if f.place == 'QUERY'}
        assert wanted <= set(query), op.id
        more = own | {'limit'} if op.id == 'worker.events' else own
        assert set(query) - wanted <= more, op.id
        body = entry.get('requestBody')
        if body and op.id != 'bundle.put':
            schema = resolved(body['content']['application/json']['schema'])
            assert set(schema['properties']) == {n for n, f in fields.items() if f.place == 'BODY'}
            assert schema['additionalProperties'] is False
        else:
            assert body or not [f for f in fields.values() if f.place == 'BODY'], op.id
        for name in wanted:
            schema, f = resolved(query[name]['schema']), fields[name]
            if f.type == 'INTEGER':
                bounds = schema['minimum'], schema['maximum']
                assert bounds == (f.minimum, f.maximum), (op.id, name)
            elif 'maxLength' in schema:
                assert (schema['minLength'], schema['maxLength']) == (f.minimum, f.maximum), name


def test_who_may_ask_is_said():
    there = operations()
    for op, path, surface in rows():
        entry = there[(path, op.method)]
        assert entry['tags'] == [surface]
        assert entry.get('security', []) == ([{'token': []}] if surface == 'v1' else
                                             [{}, {'token': []}] if op.id == 'host.metrics' else [])
        hops = 'Yoi-Hops' in parameters(path, entry, 'header')
        assert hops == (surface == 'v1'), path
        headers = set(parameters(path, entry, 'header'))
        assert {'X-Request-Id', 'traceparent', 'Yoi-Timeout-Ms'} <= headers, path
        assert ('Idempotency-Key' in headers) == (op.idempotent == 'KEY'), path
        assert ('Last-Event-ID' in headers) == (op.id == 'worker.events'), path


def test_limits_are_those_of_the_header():
    limit = tables.LIMIT
    at = DOC['components']['parameters']
    assert at['Limit']['schema']['maximum'] == limit['YOI_LIST_LIMIT_MAX'] == \
        limit['YOI_HTTP_BATCH_MAX']
    assert at['Wait']['schema']['maximum'] * 1000 == limit['YOI_WAIT_MS_MAX']
    assert at['Hops']['schema']['maximum'] == limit['YOI_HOPS_MAX']
    assert at['IdempotencyKey']['schema']['maxLength'] == limit['YOI_IDEMPOTENCY_KEY_MAX'] + 2
    assert SCHEMAS['Cursor']['maxLength'] == limit['YOI_CURSOR_MAX']
    assert SCHEMAS['Count']['maximum'] == (1 << 53) - 1
    assert SCHEMAS['Create']['properties']['display_name']['maxLength'] == \
        limit['YOI_DISPLAY_NAME_MAX']
    assert SCHEMAS['Create']['properties']['requested_capabilities']['maxItems'] == \
        limit['YOI_CAPABILITIES_MAX']


def node(*argv, cwd=ROOT):
    assert shutil.which('node') and (NPM / 'node_modules').is_dir(), \
        'npm packages are missing; `make packages-test` brings them'
    return subprocess.run(['node', *map(str, argv)], cwd=cwd, stdout=subprocess.PIPE, check=False,
                          stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                          timeout=wait.patience(300))


def check(folder, *records):
    """What the checker says of the document and a few exchanges."""
    (folder / 'records').mkdir()
    (folder / 'records/1.jsonl').write_text(''.join(json.dumps(r) + '\n' for r in records))
    where = [folder / 'records'] if records else []
    return node('tests/openapi/check.mjs', NPM, DOCUMENT, *where)


def test_the_document_is_valid(tmp_path):
    done = check(tmp_path)
    assert done.returncode == 0, done.stdout.decode()


READY = {'method': 'GET', 'target': '/readyz', 'status': 200, 'type': 'application/json',
         'headers': {'x-request-id': 'r'}, 'body': '{"status":"ready"}'}
REFUSED = {**READY, 'status': 404, 'target': '/v1/workers/x',
           'body': '{"error":{"code":"worker_not_found","message":"m","request_id":"r"}}'}
STREAM = {**READY, 'target': '/v1/workers/x/events', 'type': 'text/event-stream', 'events': [
    {'id': 'c', 'event': 'text.delta', 'data': {'turn_id': '01a1f9df-b4ca-70af-9edc-734db5d4b861',
                                                'step': 1, 'text': 'x'}}]}
DELTA = STREAM['events'][0]


BROKEN = [
    ({**READY, 'body': '{"status":"ready","more":1}'}, 'additional properties'),
    ({**READY, 'body': '{"status":"no"}'}, 'allowed values'),
    ({**READY, 'body': 'no'}, 'no JSON'),
    ({**READY, 'status': 201}, 'the status 201 is not listed'),
    ({**READY, 'type': 'text/plain'}, 'the type text/plain is not listed'),
    ({**READY, 'target': '/readyzz'}, 'is not in the document'),
    ({**READY, 'headers': {}}, 'no X-Request-Id'),
    ({**REFUSED, 'status': 409}, 'came with 409'),
    ({**REFUSED, 'headers': {'x-request-id': 'other'}}, 'not that of the header'),
    ({**REFUSED, 'body': REFUSED['body'].replace('worker_not', 'worker_never')}, 'allowed values'),
    ({**STREAM, 'events': [{**DELTA, 'event': 'text.more'}]}, 'text.more is not listed'),
    ({**STREAM, 'events': [{**DELTA, 'data': {'text': 'x'}}]}, 'required property'),
    ({**STREAM, 'target': '/v1/workers/x'}, 'a stream is not listed'),
    ({**READY, 'method': 'POST', 'target': '/v1/workers/x/stop', 'status': 202,
      'request': '{"x":1}', 'body': '{"ack":{"sequence":1,"cursor":"c","state":"stopped"}}'},
     'accepted what does not fit'),
]


def test_the_checker_finds_what_is_broken(tmp_path):
    done = check(tmp_path, READY, REFUSED, STREAM, *(record for record, _ in BROKEN))
    text = done.stdout.decode()
    for _, finding in BROKEN:
        assert finding in text, finding
    assert done.returncode == 1
    # and that not all operations were asked for
    assert f': {len(BROKEN) + 1} findings' in text, text


@pytest.mark.timeout(900)  # half a minute where little else runs
def test_a_typed_client_is_made_of_it_and_talks_to_a_host(new_host):
    """openapi-typescript makes the types, tsc checks the client, node runs it."""
    with tempfile.TemporaryDirectory(prefix='client-', dir=NPM) as folder:
        built = pathlib.Path(folder)
        made = node(NPM / 'node_modules/openapi-typescript/bin/cli.js', DOCUMENT, '-o',
                    built / 'yoi.d.ts')
        assert made.returncode == 0, made.stdout.decode()
        shutil.copy(ROOT / 'tests/openapi/client.ts', built)
        (built / 'package.json').write_text('{"type": "module"}')
        done = node(NPM / 'node_modules/typescript/bin/tsc', '--strict', '--skipLibCheck',
                    '--noUncheckedIndexedAccess', '--target', 'es2022', '--module', 'nodenext',
                    '--moduleResolution', 'nodenext', '--lib', 'es2022,dom,dom.iterable',
                    'client.ts', cwd=built)
        assert done.returncode == 0, done.stdout.decode()
        host = new_host(configs.standard())
        ran = node(built / 'client.js', f'http://{host.address("runtime")}', TOKEN)
        assert ran.returncode == 0, ran.stdout.decode()
        seen = json.loads(ran.stdout)
    kinds = seen.pop('kinds')
    assert kinds[0] == 'input.accepted' and kinds[-1] == 'turn.ended'
    assert 'message.completed' in kinds
    assert seen == {'created': 201, 'state': 'completed', 'message': 'You said: hello', 'tokens': 5,
                    'listed': ['typed'], 'model': 'main', 'said': 'You said: hello',
                    'refused': 'worker_not_stopped', 'stopped': 'stopped', 'deleted': 204,
                    'missing': 'worker_not_found'}


def test_the_document_names_no_machine():
    text = DOCUMENT.read_text()
    assert not re.search(r'https?://(?!127\.0\.0\.1|\{address\})', text)
    assert pathlib.Path.home().as_posix() not in text
