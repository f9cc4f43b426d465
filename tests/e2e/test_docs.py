"""Every code block of README.md, docs/ and the plugins' pages is what there is.

lib/docs.py says how a block is taken by its language. The blocks of a document
are run in their order, in one shell, in a folder of its own; what cannot be run
so stands in NOT_RUN, with the reason and the test that does it instead, if there
is one. A block that is neither fails here, and so does a row without a block.
"""
import json
import re
import shutil
import subprocess

import pytest
from lib import configs, docs, remote, wait
from lib import store as files
from lib.hands import Scene
from lib.host import BINARY, BUILD, ROOT, environment
from lib.install import at_its_place, local, staged
from lib.worker import Worker

stage = pytest.fixture(scope='module', name='stage')(staged)
DOCS = docs.documents()
SANITIZED = 'san' in BUILD.name

DRAWING = 'it is a drawing'
LOG = 'it is of a log'
NOT_RUN = {  # (document, first line of the block): (why, the test that does it)
    ('README.md', 'make run      build, start the host with the default config'):
        ('one does not end, the other is what runs this', None),
    ('README.md', '$ build/yoi-host chat coder.json'):
        ('it needs a terminal, and a model that calls tools',
         'test_tools.py::test_the_example_reads_by_itself_and_asks_before_it_writes'),
    ('README.md', "your C application          curl, another yoi-host           a person's "
                  'browser'): (DRAWING, None),
    ('docs/concepts.md', 'people, programs, other hosts'): (DRAWING, None),
    ('docs/conform.md', '$ yoi-conform build/mine.so'):
        ('it is of a plugin that breaks a promise',
         'test_conform.py::test_the_text_says_what_was_seen_where_it_is_promised_and_how_to_see_it_'
         'again'),
    ('docs/conform.md', "$ gdb --args yoi-conform --in-process --reproduce "
                        "'stream.release-any-state:77' build/mine.so"):
        ('it is a session with a debugger', None),
    ('docs/operate.md', 'yoi-host [serve] [CONFIG]     run until SIGINT or SIGTERM'):
        ('it is a list', 'test_docs.py::test_commands_that_are_listed_are_those_of_the_program'),
    ('docs/operate.md', 'make PREFIX=/usr                # what is built looks for its plugins '
                        'below this'):
        ('it installs as root', 'test_install.py::test_an_installation_finds_its_own_plugins'),
    ('docs/operate.md', 'make deb'):
        ('it installs as root', 'test_deb.py::test_the_program_works_from_there'),
    ('docs/operate.md', 'level=error msg="config finding" file="yoi.json" place="12:5" '
                        'at="/runtimes/0" error="runtime \'main\' cannot be replaced: its state is '
                        'memory, and it has workers: they would be lost"'):
        (LOG, None),
    ('docs/operate.md', 'time=2026-11-20T16:51:19.679Z level=info msg=listening surface=browser '
                        'address=127.0.0.1:38800'): (LOG, None),
    ('docs/operate.md', 'yoi-host plugins list [CONFIG]                what is found, what uses '
                        'it, what was passed over and why'):
        ('it is a list', 'test_docs.py::test_commands_that_are_listed_are_those_of_the_program'),
    ('docs/start.md', 'git clone <where you got it> yoi && cd yoi'):
        ('it needs a network, and does not end', None),
    ('docs/start.md', 'yoi-host 1.0.0 is ready'):
        ('it is of a terminal',
         'test_cli.py::test_the_first_start_says_where_to_look_and_what_answers'),
    ('docs/start.md', 'OPENAI_BASE_URL=http://127.0.0.1:11434/v1 YOI_MODEL=qwen3 make run'):
        ('it does not end', None),
    ('docs/start.md', '$ build/yoi-host chat'): ('it is of a terminal', None),
    ('docs/store.md', 'ROOT/'): ('it is a picture of a folder', None),
    ('docs/store.md', "jq -c '.data' workers/3f/ID.jsonl          # the records of a worker, as "
                      'watchers got them'):
        ('jq need not be here', None),
    ('docs/workers.md', 'input              a call needs a person'): (DRAWING, None),
    ('docs/workers.md', 'tool.requested --> policy.decided --+-- allow -> tool.started - '
                        'tool.progress... --> tool.completed'): (DRAWING, None),
    ('plugins/ingress-http/README.md', 'level=info plugin=dev.yoi.ingress-http msg=request '
                                       'request_id=... method=GET path=/v1/workers/ann'):
        (LOG, 'test_access_log.py::test_all_answers_have_one_line_each'),
    ('plugins/tool-http/README.md', '200 text/html; charset=utf-8 https://example.com/'):
        ('it needs a network', 'test_tool_http.py::test_a_page_is_fetched_as_text'),
}
# Documents that speak of an installation.
INSTALLED = {'docs/operate.md', 'docs/write-a-plugin.md', 'docs/write-a-runtime.md',
             'docs/write-a-model.md'}


def runnable(doc):
    return [b for b in docs.blocks(doc) if docs.called(b) not in NOT_RUN]


# ---- every block is claimed ------------------------------------------------------
def test_there_are_blocks():
    assert sum(len(docs.blocks(d)) for d in DOCS) > 80
    assert sum(len(runnable(d)) for d in DOCS) > 60


@pytest.mark.parametrize('doc', DOCS)
def test_every_block_says_what_it_is(doc):
    docs.steps(runnable(doc))


def test_what_is_not_run_is_there_and_says_why():
    there = {docs.called(b) for d in DOCS for b in docs.blocks(d)}
    assert set(NOT_RUN) <= there, set(NOT_RUN) - there
    for why, test in NOT_RUN.values():
        assert why
        if test:
            name, function = test.split('::')
            assert f'def {function}(' in (ROOT / 'tests/e2e' / name).read_text(), test


# ---- what a document needs around it ---------------------------------------------
def readme(_folder, new_host, _):
    """A host as it is without a config."""
    host = new_host(configs.standard(model=configs.script({'say': 'Good morning to you.'}),
                                     runtimes=[configs.embedded('backend-internal')],
                                     ingresses=[configs.BROWSER]))
    # Whoever watches goes on until there is silence, since the machine may be slow.
    return {'127.0.0.1:38800': host.address('browser'), 'curl -sN -m 1 ': 'curl -sN -Y 1 -y 5 '}


def http(folder, new_host, _):
    """The same with a socket, and a worker that waits for a person twice."""
    (folder / 'run').mkdir()
    scene = Scene(folder)
    writes = [{'call': {'name': 'fs_write', 'arguments': {'n': n}}} for n in (1, 2)]
    reads = [{'call': {'name': 'fs_read', 'arguments': {'bytes': 200000}}}]
    model = configs.script(answers=[{'match': 'work', 'step': 0, 'steps': reads},
                                    {'match': 'work', 'step': 1, 'steps': writes}],
                           steps=[{'say': 'hello'}])
    host = new_host(scene.config(
        model, [configs.embedded('backend-internal')],
        ingress=[configs.BROWSER,
                 configs.ingress(configs.BROWSER, listen=f'unix:{folder}/run/yoi.sock')]),
        env=scene.env)
    ben = Worker.create(host.api, '/api/runtimes/backend-internal', 'ben',
                        profile={'kind': 'builtin', 'value': 'coder'})
    ben.input('work')
    wait.until(lambda: ben.get()['state'] == 'awaiting_approval', what='an approval')
    asked = host.api.ok('GET', ben.path + '/approvals')['approvals']
    (artefact,) = (e['data']['artefact_id'] for e in ben.batch(ben.born, wait=0)['events']
                   if e['event'] == 'tool.completed')
    return {'127.0.0.1:38800': host.address('browser'), 'curl -s': 'curl -fs',
            '$APPROVAL_ID': asked[0]['approval_id'], '$OTHER_ID': asked[1]['approval_id'],
            '$ARTEFACT_ID': str(artefact)}


def operate(folder, *_):
    (block,) = [b for b in docs.blocks('plugins/policy-rules/README.md') if b.lang == 'json']
    (folder / 'yoi.json').write_text(json.dumps(docs.whole(block.text, 'members')))
    return {}


def start(folder, *_):
    port = str(remote.free_port())
    for path in (folder / 'docs/examples').iterdir():
        path.write_text(path.read_text().replace('38800', port))
    shutil.copy(folder / 'docs/examples/coder.json', folder)
    (folder / 'workspace').mkdir()
    return {'38800': port}


def store(folder, new_host, _):
    made = files.make(new_host, folder / 'made', ['ann', 'ben', 'cleo'])
    (folder / 'state').mkdir()
    made.root.rename(folder / 'state/main')
    (folder / 'yoi.json').write_text(json.dumps(files.config('state/main')))
    (folder / 'runtime.token').write_text('x' * 32)
    return {}


def bundles(_folder, _new_host, provider):
    return {'127.0.0.1:11434': f'127.0.0.1:{provider().port}'}


SETUP = {'README.md': readme, 'docs/http.md': http, 'docs/operate.md': operate,
         'docs/start.md': start, 'docs/store.md': store, 'docs/bundles.md': bundles}


# ---- what must have come of it ---------------------------------------------------
def one(folder, *argv, text=None):
    done = subprocess.run([str(a) for a in argv], cwd=folder, input=text, check=False,
                          env=environment(folder), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=wait.patience(30), universal_newlines=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def the_companion_answers(folder, _done, _new_host):
    config = json.loads((folder / 'yoi.json').read_text())
    config['models'] = [configs.script()]
    (folder / 'yoi.json').write_text(json.dumps(config))
    said = one(folder, BINARY, 'chat', 'yoi.json', '--json', text='hello\n')
    assert '"id":"acme"' in said and 'You said: hello' in said


def nothing_is_lost(_folder, done, _new_host):
    """The last block kills a host with a worker in it, and starts it again."""
    text = done[-1][1]
    created, said, transcript = (json.JSONDecoder().raw_decode(text, found.start())[0]
                                 for found in re.finditer('{"runtime_id"', text))
    assert created['worker']['worker_id'] == 'ada'
    assert said['turn']['state'] == 'completed'
    assert [i['role'] for i in transcript['transcript']['items']] == ['user', 'assistant']


def the_applications_run(folder, _done, _new_host):
    for program in ('./static', './shared'):
        item = json.loads(one(folder, program, BUILD))['item']
        assert item['content'] == [{'type': 'text', 'text': 'You said: hello'}]
    assert 'null' in one(folder, './app')


def the_record_is_read(folder, _done, new_host):
    (folder / 'records').mkdir()
    shutil.copy(folder / 'w1.json', folder / 'records')
    host = new_host(configs.standard(runtimes=[{
        'id': 'archive', 'plugin': 'dev.yoi.local-compat',
        'config': {'root': str(folder / 'records')}}], ingresses=[configs.BROWSER]))
    items = host.api.ok('GET', '/api/runtimes/archive/workers/w1/transcript')['transcript']['items']
    assert [i['content'][0]['text'] for i in items] == ['hello', 'good day']


AFTER = {'docs/bundles.md': the_companion_answers, 'docs/start.md': nothing_is_lost,
         'docs/embed.md': the_applications_run,
         'runtimes/local-compat/README.md': the_record_is_read}


# ---- and they are run ------------------------------------------------------------
@pytest.mark.parametrize('doc', [d for d in DOCS if runnable(d)])
def test_what_a_document_shows_is_so(doc, request, new_host, provider, tmp_path):
    found = runnable(doc)
    if SANITIZED and any(re.search(r'\b(gcc|make) ', b.text) for b in found if b.lang != 'c'):
        pytest.skip('its commands link without a sanitizer')
    docs.lay_out(tmp_path)
    replace = {'$YOI/build': str(BUILD)}
    replace.update(SETUP.get(doc, lambda *_: {})(tmp_path, new_host, provider))
    replace.setdefault('127.0.0.1:38800', '127.0.0.1:0')
    env, prefix = local(tmp_path, YOI=str(ROOT)), ()
    env['PATH'] = f'{tmp_path}/bin.tmp:{env["PATH"]}'
    if doc in INSTALLED:
        prefix = at_its_place(request.getfixturevalue('stage'), tmp_path)
        (tmp_path / 'bin.tmp/yoi-host').unlink()
    todo = docs.steps(found)
    done = docs.run(todo, tmp_path, env, replace, prefix)
    bad = docs.wrong(todo, done)
    assert not bad, '\n\n'.join(bad)
    AFTER.get(doc, lambda *_: None)(tmp_path, done, new_host)


def test_commands_that_are_listed_are_those_of_the_program(tmp_path):
    usage = one(tmp_path, BINARY, 'help')
    page = (ROOT / 'docs/operate.md').read_text()
    listed = re.findall(r'^yoi-host (?:\[serve\] )?([a-z-]+(?: [a-z]+)?)', page, re.M)
    assert {'check', 'plugins list', 'chat', 'version'} <= set(listed)
    for name in listed:
        assert re.search(r'^  yoi-host .*' + r'.*\b'.join(name.split()), usage, re.M), name
    for name in re.findall(r'^  yoi-host (?:\[serve\] )?([a-z-]+)', usage, re.M):
        assert name in {n.split()[0] for n in listed}, name


# ---- and it can fail -------------------------------------------------------------
GOOD = """# A page
```console
$ echo one; echo two
one
two
$ true
```
```sh
X=3
```
```console
$ echo {\\"state\\": \\"idle\\", \\"n\\": $X}
{"state": "idle", "n": 4}
$ seq 9
1
...
9
```
<!-- config: runtimes -->
```json
{ "id": "main", "plugin": "dev.yoi.embedded" }
```
<!-- file: a.json -->
```json
{ "a": 1 }
```
```sh
grep -q a a.json
```
"""


def outcome(text, folder):
    docs.lay_out(folder)
    env = dict(environment(folder), PATH=f'{folder}/bin.tmp:/usr/bin:/bin')
    todo = docs.steps(docs.blocks('page.md', text))
    return docs.wrong(todo, docs.run(todo, folder, env, {}))


def test_a_good_page_is_good(tmp_path):
    assert outcome(GOOD, tmp_path) == []


@pytest.mark.parametrize('old, new, said', [
    ('one\ntwo\n', 'one\n', 'page.md:2: echo one'), ('one\ntwo', 'one\nthree', 'page.md:2'),
    ('$ true', '$ false', 'page.md:2: false\nended with 1'),
    ('X=3', 'X=3\nfalse\nX=4', 'page.md:8'), ('X=3', 'X=$NOTHING', 'page.md:8'),
    ('"state": "idle", "n": 4', '"state": "busy", "n": 4', 'page.md:11'),
    ('"n": 4', '"n": "4"', 'page.md:11'), ('...\n9', '...\n8', 'page.md:11: seq'),
    ('dev.yoi.embedded', 'dev.yoi.nobody', 'dev.yoi.nobody'),
    ('"plugin"', '"plugins"', "'plugins'"), ('-q a', '-q b', 'page.md:27')])
def test_a_page_that_is_wrong_is_found(tmp_path, old, new, said):
    assert old in GOOD
    bad = outcome(GOOD.replace(old, new, 1), tmp_path)
    assert bad and said in '\n'.join(bad), bad


@pytest.mark.parametrize('text, said', [
    ('```\nwhat\n```\n', "page.md:1: nobody knows what '' is"),
    ('```json\n{}\n```\n', 'nothing says what this json is'),
    ('<!-- config: models -->\n```json\n{ "a": }\n```\n', 'page.md:2'),
    ('<!-- config: places -->\n```json\n{}\n```\n', 'no place places'),
    ('<!-- file: plugins/tool-time/plugin.c from: static -->\n```c\nint x;\n```\n', 'another one'),
    ('<!-- part of: tests/abi/witness.c -->\n```c\nWITNESS(no)\n```\n', 'does not stand in'),
    ('```c\nint x;\n```\n', 'nothing says what this c is'),
    ('```console\nhello\n```\n', 'begins with a command'),
    ('- in a list\n\n  ```\n  what\n  ```\n', 'is not in list')])
def test_a_block_that_nobody_knows_is_found(text, said):
    with pytest.raises((AssertionError, ValueError)) as found:
        docs.steps(docs.blocks('page.md', text))
    assert said in str(found.value)
