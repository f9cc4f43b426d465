"""yoi-conform: every plugin of the tree passes, and each broken one fails its own test."""
import json
import re
import shutil

import pytest
from lib import configs
from lib.conform import bad, report, results, run, written
from lib.host import BUILD, PLUGIN_PATH, ROOT, TOKEN
from lib.install import PREFIX, shell, staged
from lib.worker import Worker, text_of

stage = pytest.fixture(scope='module', name='stage')(staged)
STATIC = BUILD / 'yoi-conform-static'
PLAIN = BUILD == ROOT / 'build'
BROKEN = sorted((BUILD / 'tests/broken').glob('*/*.so'))
FROZEN = sorted((BUILD / 'tests/frozen').glob('*.so'))
GOOD = BUILD / 'tests/broken/model/none.so'
SHIPPED = {
    'runtimes/embedded': {}, 'runtimes/fs-store': {'root': 'store'}, 'runtimes/local-compat': {},
    'runtimes/http-remote': {'base_url': 'http://127.0.0.1:9'},
    'plugins/ingress-http': {}, 'plugins/model-script': {},
    'plugins/model-openai': {'base_url': 'http://127.0.0.1:9'},
    'plugins/policy-rules': {'rules': [{'name': 'all', 'decision': 'allow'}]},
    'plugins/tool-fs': {}, 'plugins/tool-http': {}, 'plugins/tool-shell': {},
    'plugins/tool-time': {}}
ARGUMENTS = {'shell_run': {'argv': ['true']}, 'git_run': {'argv': ['status']},
             'http_fetch': {'url': 'http://localhost:9/'},
             'fs_write': {'path': 'new', 'content': 'x'}}


def fails(so):
    """The test that a plugin of tests/conform/broken has to fail; of none+HOW: none."""
    test = so.stem.split('+')[0]
    return set() if test == 'none' else {test}


# ---- what is shipped ----
def shipped(folder, name, *args, builtin=None):
    config = written(folder, 'config.json', SHIPPED[name])
    tools = {t['name'] for t in manifest(name).get('tools', [])}
    quirks = written(folder, 'quirks.json', {
        'arguments': {k: v for k, v in ARGUMENTS.items() if k in tools}})
    what = ['--builtin', builtin] if builtin else [f'{BUILD / name}.so']
    return report(folder, '--config', config, '--quirks', quirks, *args, *what,
                  **({'program': STATIC} if builtin else {}))


def manifest(name):
    return json.loads((ROOT / name / f'{name.split("/")[1]}.yoi.json').read_text())


def test_every_plugin_of_the_tree_is_listed():
    assert set(SHIPPED) == {str(p.parent.relative_to(ROOT)) for folder in ('runtimes', 'plugins')
                            for p in (ROOT / folder).glob('*/*.yoi.json')}


@pytest.mark.parametrize('name', SHIPPED)
def test_every_plugin_of_the_tree_passes(tmp_path, name):
    said = shipped(tmp_path, name)
    assert said['ok'] and said['summary']['pass'] >= 20, said['summary']


# Where several threads meet: the same under the thread sanitizer, which sees what no test
# does. It ends a test's process, and that is a crash in the report.
RACES = [f'--include={g}' for g in (
    'lib.agrees', 'inst.two', 'stream.cancel-*', 'stream.release-any-state', 'policy.threads',
    'worker.follow', 'worker.cancel', 'worker.wake-inside', 'worker.tool-call', 'worker.drain',
    'approval.conflict', 'bundle.put', 'ingress.accepts', 'ingress.drain')]


@pytest.mark.tsan
@pytest.mark.parametrize('name', SHIPPED)
def test_no_plugin_of_the_tree_races(tmp_path, name):
    said = shipped(tmp_path, name, *RACES)
    assert said['ok'] and said['summary']['pass'] >= 4, said


@pytest.mark.parametrize('name', [n for n in SHIPPED if n.startswith('plugins/') and
                                  n != 'plugins/ingress-http'])
def test_what_can_be_isolated_passes_there(tmp_path, name):
    said = shipped(tmp_path, name, '--isolated')
    assert said['ok'] and said['isolated'], said
    assert results(said)['stream.end-is-sticky'] == 'pass'
    assert {t['why'] for t in said['tests'] if t['id'].startswith('mem.')} == {
        'its code runs in another process'}


def test_a_runtime_behind_a_surface(new_host, tmp_path):
    host = new_host(configs.standard())
    address = host.address('runtime')
    token = tmp_path / 'token'
    token.write_text(TOKEN)
    token.chmod(0o600)
    said = report(tmp_path, '--url', f'http://{address}', '--token', token)
    got = results(said)
    assert said['ok'] and got['worker.resume'] == got['worker.transcript'] == 'pass', got
    assert got['bundle.get'] == got['bundle.delete'] == 'pass', got
    assert {t.split('.')[0] for t in got} == {'runtime', 'worker', 'bundle', 'approval'}
    assert host.v1.ok('GET', '/v1/workers')['workers'] == [], 'left behind'
    for t in said['tests']:  # that host has not got the kit's tool
        if t['id'] == 'worker.tool-call' or t['id'].startswith('approval.'):
            assert t['result'] == 'skip' and "the kit's tool" in t['why'], t


def test_what_a_runtime_does_not_offer_is_skipped_and_says_why(tmp_path):
    said = shipped(tmp_path, 'runtimes/local-compat', '--include', 'bundle.*',
                   '--include', 'approval.*', '--include', 'worker.*')
    assert said['ok'] and set(results(said).values()) == {'skip'}
    for t in said['tests']:
        assert 'its capabilities do not have "' in t['why'], t
    said = shipped(tmp_path, 'runtimes/fs-store', '--include', 'bundle.*',
                   '--include', 'approval.*', '--include', 'worker.*')
    assert set(results(said).values()) == {'pass'}, said


def test_a_runtime_that_wants_a_bundle(new_host, tmp_path):
    config = configs.standard()
    config['runtimes'][0]['require_bundle'] = 'always'
    token = tmp_path / 'token'
    token.write_text(TOKEN)
    token.chmod(0o600)
    said = report(tmp_path, '--url', f"http://{new_host(config).address('runtime')}",
                  '--token', token, '--include', 'worker.*')
    why = {t['id']: t['why'] for t in said['tests'] if t['result'] == 'skip'}
    assert said['ok'] and why['worker.create'] == 'it makes none without a bundle', why


def test_a_policy_that_counts_may_change_its_answer(tmp_path):
    config = written(tmp_path, 'config.json', {'rules': [
        {'name': 'all', 'decision': 'allow', 'rate': {'count': 5, 'per_ms': 600000}}]})
    said = report(tmp_path, '--config', config, '--include', 'policy.*',
                  BUILD / 'plugins/policy-rules.so')
    assert said['ok']
    assert {t['why'] for t in said['tests'] if t['id'] == 'policy.same-answer'} == {
        'it counts: after 5 times "allow" it says "deny"'}


# ---- what is of an earlier minor ----
def earlier():
    """Each minor before today's: what HISTORY says of it."""
    text = (ROOT / 'tests/abi/HISTORY').read_text()
    found = re.split(r'^(1\.\d+) sha256:.*$', text, flags=re.M)[1:]
    return dict(zip(found[::2], found[1::2]))


@pytest.mark.parametrize('so', FROZEN, ids=lambda p: p.stem)
def test_a_plugin_of_an_earlier_minor_passes(tmp_path, so):
    said = report(tmp_path, so)
    assert said['ok'] and said['summary']['pass'] >= 40, said['summary']


def test_each_earlier_minor_has_plugins():
    minors = list(earlier())
    assert {p.stem.split('-')[0] for p in FROZEN} == set(minors[:-1])
    assert {p.stem.split('-')[1] for p in FROZEN} == {'runtime', 'model', 'policy'}


@pytest.mark.parametrize('so', [p for p in FROZEN if p.stem.endswith('model')],
                         ids=lambda p: p.stem)
def test_a_model_of_an_earlier_minor_answers_a_worker(new_host, tmp_path, so):
    (tmp_path / 'plugins').mkdir()
    shutil.copy(so, tmp_path / 'plugins/frozen.so')
    host = new_host(configs.standard(
        model={'name': 'main', 'plugin': 'dev.yoi.test.frozen'},
        plugin_path=[str(tmp_path / 'plugins'), *PLUGIN_PATH]))
    out = Worker.create(host.v1).say('hi')
    assert out['turn']['state'] == 'completed' and text_of(out['message']) == 'hello', out


def test_the_kit_knows_what_each_minor_added_to_hosts_and_requests():
    text = (ROOT / 'tests/conform/t_mem.c').read_text()
    for minor, lines in list(earlier().items())[1:]:
        n = minor.split('.')[1]
        for name in re.findall(r'^  struct yoi_host_(\w+),', lines, re.M):
            if name != 'options':  # of applications
                assert f'{{"yoi.host.{name}/1", {n}, ' in text, (minor, name)
        for name in set(re.findall(r'^  yoi_host_(\w+) gained: ', lines, re.M)):
            row = re.search(r'\{YOI_HOST_%s_ID, 0, \{(.*?)\}\},' % name.upper(), text, re.S)
            assert row and f'{{{n}, offsetof(yoi_host_{name}, ' in row.group(1), (minor, name)
        for name in set(re.findall(r'^  (yoi_(?:\w+_)?request) gained:', lines, re.M)):
            first = re.search(r'^  %s gained: .*?(\w+)$' % name, lines, re.M).group(1)
            assert f'offsetof({name}, {first})' in text, (minor, name)


# ---- what is linked in ----
@pytest.mark.parametrize('name', SHIPPED)
def test_what_is_linked_in_passes_too(tmp_path, name):
    said = shipped(tmp_path, name, builtin=manifest(name)['id'])
    assert said['ok'] and said['plugin']['id'] == said['plugin']['file'] == manifest(name)['id']
    got = results(said)
    assert got['lib.entry-twice'] == got['lib.agrees'] == got['env.threads'] == 'pass'
    assert said['summary']['pass'] >= 20
    no_file = {t['id'] for t in said['tests'] if t.get('why', '').startswith('it has no file')}
    assert no_file == {'lib.symbols', 'lib.loads'}


def test_what_is_not_linked_in_is_said(tmp_path):
    said = run(tmp_path, '--builtin', 'dev.yoi.tool-time', code=2).stderr
    assert "'dev.yoi.tool-time' is not linked into this program" in said and 'nothing' in said
    said = run(tmp_path, '--builtin', 'no.such', code=2, program=STATIC).stderr
    assert set(re.findall(r'^  (\S+)$', said, re.M)) == {manifest(n)['id'] for n in SHIPPED}
    for more in (['--isolated'], [GOOD], ['--url', 'http://127.0.0.1:9']):
        assert run(tmp_path, '--builtin', 'dev.yoi.tool-time', *more, code=2, program=STATIC).stderr


# ---- what is broken ----
@pytest.mark.skipif(not PLAIN, reason='a sanitizer ends what breaks the rules of memory')
@pytest.mark.parametrize('so', BROKEN, ids=lambda p: f'{p.parent.name}/{p.stem}')
def test_each_broken_plugin_fails_its_own_test_and_no_other(tmp_path, so):
    want = fails(so)
    slow = ['--timeout', 8000] if so.stem == 'none+serial' else []
    said = report(tmp_path, *slow, so, code=1 if want else 0)
    assert bad(said) == want
    assert said['ok'] == (not want)
    for t in said['tests']:
        if t['id'] in want:
            assert t['seen'] and t['line'] > 0 and t['header'].startswith('yoi/')


def listed_tests(folder):
    return re.findall(r'^(\S+)\n    (.+)\n    (\S+):(\d+): (.+)\n    kinds:(.*)$',
                      run(folder, '--list').stdout, re.M)


def test_each_test_has_a_plugin_that_fails_it_and_a_line_that_promises_it(tmp_path):
    listed = listed_tests(tmp_path)
    ids = [t[0] for t in listed]
    assert len(set(ids)) == len(ids) >= 40
    assert set(ids) == set().union(*map(fails, BROKEN))
    for name, says, header, line, promise, kinds in listed:
        assert says.endswith('.') and kinds, name
        text = (ROOT / 'abi' / header).read_text().split('\n')
        assert promise.split()[0] in text[int(line) - 1], (name, line)


def test_each_group_and_test_is_documented(tmp_path):
    text = (ROOT / 'docs/conform.md').read_text()
    for name, *_ in listed_tests(tmp_path):
        assert f'`{name}`' in text, name


# ---- the report ----
@pytest.mark.skipif(not PLAIN, reason='the broken plugins are for the plain build')
def test_the_text_says_what_was_seen_where_it_is_promised_and_how_to_see_it_again(tmp_path):
    so = BUILD / 'tests/broken/model/stream.end-is-sticky.so'
    said = run(tmp_path, '--seed', '77', so, code=1).stdout
    assert re.search(r'^fail +stream\.end-is-sticky$', said, re.M)
    assert 'it ended with -2, then it says -1' in said and 'next repeats the end' in said
    assert re.search(r'promise: +yoi/stream\.h:\d+: END and errors are final and sticky\.', said)
    again = re.search(r"--reproduce '(.*)'", said).group(1)
    assert again == 'stream.end-is-sticky:77'
    assert said.strip().endswith('seed 77') and ' 1 failed' in said
    once = report(tmp_path, '--reproduce', again, so, code=1)
    assert results(once) == {'stream.end-is-sticky': 'fail'} and once['seed'] == '77'


@pytest.mark.skipif(not PLAIN, reason='the broken plugins are for the plain build')
def test_a_crash_and_what_was_printed_before_it(tmp_path):
    so = BUILD / 'tests/broken/model/stream.cancel-twice.so'
    said = report(tmp_path, '--include', 'stream.cancel-twice', so, code=1)
    test = said['tests'][0]
    assert test['result'] == 'crash' and test['signal'] == 6 and 'SIGABRT' in test['seen']


def test_the_form_of_the_json(tmp_path):
    said = report(tmp_path, '--seed', '18446744073709551615', GOOD)
    assert said['schema'] == 'yoi.conform/1' and said['seed'] == '18446744073709551615'
    assert set(said) == {'schema', 'plugin', 'isolated', 'seed', 'tests', 'summary', 'ok'}
    assert said['plugin'] == {'file': str(GOOD), 'id': 'dev.yoi.test.broken', 'version': '1.0.0'}
    assert set(said['summary']) == {'pass', 'fail', 'skip', 'crash', 'timeout', 'known',
                                    'unexpected'}
    for t in said['tests']:
        assert {'id', 'result', 'ms', 'checks', 'header', 'line'} <= set(t)


@pytest.mark.skipif(not PLAIN, reason='a sanitizer has the allocator')
def test_a_test_that_takes_too_long_is_ended(tmp_path):
    said = report(tmp_path, '--timeout', '1', '--include', 'inst.thousand', GOOD, code=1)
    assert results(said) == {'inst.thousand': 'timeout'}


# ---- what is run ----
def test_include_and_exclude(tmp_path):
    got = results(report(tmp_path, '--include', 'stream.*', '--include', 'lib.loads',
                         '--exclude', '*-twice', GOOD))
    assert 'lib.loads' in got and 'stream.batch' in got
    assert {i.split('.')[0] for i in got} == {'lib', 'stream'} and 'stream.cancel-twice' not in got


def test_all_in_one_process_for_a_debugger(tmp_path):
    assert report(tmp_path, '--in-process', '--include', 'stream.batch', GOOD)['ok']


def test_a_seed_is_made_up_and_said(tmp_path):
    seeds = {report(tmp_path, '--include', 'lib.loads', GOOD)['seed'] for _ in range(3)}
    assert len(seeds) > 1


@pytest.mark.parametrize('args, words', [
    ([], 'one plugin is to be tested'), (['--wrong', GOOD], "unknown option '--wrong'"),
    (['--seed', 'x', GOOD], "'x'"), (['--seed'], 'a value is missing'),
    (['--timeout', '0', GOOD], "'0'"), (['--reproduce', 'x', GOOD], "'x'"),
    ([GOOD, GOOD], 'one argument too many'), (['/none.so'], "cannot read the plugin '/none.so'"),
    (['--quirks', '/none', GOOD], "'/none': cannot be read"),
    (['--config', '/none', GOOD], "cannot read the config '/none'"),
    (['--include', 'nothing', GOOD], 'no test was selected'),
    (['--url', 'http://x', GOOD], 'one plugin is to be tested')])
def test_a_wrong_command_line(tmp_path, args, words):
    assert words in run(tmp_path, *args, code=2).stderr


def test_a_runtime_cannot_be_isolated(tmp_path):
    said = run(tmp_path, '--isolated', BUILD / 'runtimes/embedded.so', code=2)
    assert 'only tools, policies and models' in said.stderr


# ---- quirks ----
@pytest.mark.skipif(not PLAIN, reason='the broken plugins are for the plain build')
def test_a_known_failure_fails_nothing_until_it_passes(tmp_path):
    so = BUILD / 'tests/broken/model/model.usage.so'
    known = written(tmp_path, 'q.json', {'known': [{'test': 'model.us*', 'reason': 'to come'}]})
    said = report(tmp_path, '--quirks', known, '--include', 'model.*', so)
    assert results(said)['model.usage'] == 'known' and said['summary']['known'] == 1
    said = report(tmp_path, '--quirks', known, '--include', 'model.*', GOOD, code=1)
    assert results(said)['model.usage'] == 'unexpected'
    assert 'known as failing: to come' in str(said['tests'])


@pytest.mark.skipif(not PLAIN, reason='the broken plugins are for the plain build')
def test_declared_buffers(tmp_path):
    so = BUILD / 'tests/broken/model/stream.bounded.so'
    more = written(tmp_path, 'q.json', {'buffer_bytes': 16 << 20})
    assert report(tmp_path, '--quirks', more, '--include', 'stream.bounded', so)['ok']


@pytest.mark.parametrize('text, words', [
    ('{', ':1:2:'), ('[]', 'is not an object'), ('{"knwon":[]}', "'known' only"),
    ('{"known":[{"test":"x"}]}', '{"test", "reason"}'), ('{"buffer_bytes":0}', 'number of bytes')])
def test_a_quirks_file_that_is_wrong(tmp_path, text, words):
    (tmp_path / 'q.json').write_text(text)
    assert words in run(tmp_path, '--quirks', 'q.json', GOOD, code=2).stderr


# ---- for strangers ----
@pytest.mark.parametrize('lang', ['c', 'c++'])
@pytest.mark.parametrize('kind', ['runtime', 'tool', 'policy', 'model'])
def test_what_plugin_new_writes_passes(stage, tmp_path, kind, lang):
    """By the command that its own page says."""
    shell(stage, tmp_path, f'PATH={PREFIX}/bin:$PATH; yoi-host plugin new {kind} mine '
          f'--lang {lang}; cd mine; '
          "command=$(sed '1,/ is tested by$/d' README.md | sed -n '/^```$/,/^```$/{/^```$/d;p}'); "
          'case $command in *yoi-conform*mine.so) eval "$command";; *) false;; esac')


def test_options_stand_in_the_page_and_in_the_completion(tmp_path):
    options = set(re.findall(r'--[a-z][a-z-]+', run(tmp_path, '--help').stdout))
    page = (ROOT / 'docs/man/yoi-conform.1').read_text().replace('\\-', '-')
    words = (ROOT / 'docs/install/yoi-conform').read_text()
    text = (ROOT / 'docs/conform.md').read_text()
    for o in sorted(options):
        assert o in page and o in words and o in text, o
