"""Who may do what: the config's `policy`, the rules, and a policy that fails."""
import json
import pathlib
import subprocess

import pytest

from lib import configs, wait
from lib.host import BINARY, PLUGIN_PATH, dropped, environment
from lib.worker import Worker

LOOK = ['runtime.describe', 'worker.list', 'worker.get', 'worker.transcript', 'worker.events',
        'host.*']


def rule(name, decision='allow', **members):
    return {'name': name, 'decision': decision, **members}


def rules(*all_rules):
    return {'plugin': 'dev.yoi.policy-rules', 'config': {'rules': list(all_rules)}}


def judge(answer=None, **config):
    if answer is not None:
        config['answer'] = answer if isinstance(answer, str) else json.dumps(answer)
    return {'plugin': 'dev.yoi.test.judge', 'config': config}


def with_policy(new_host, *policy, **keys):
    return new_host(configs.standard(model=configs.script(), policy=list(policy), **keys))


def logged(host, n, **match):
    """That many lines on decisions; the log is written behind the answers."""
    wait.until(lambda: len(host.entries(msg='policy', **match)) >= n, what='the log')
    return host.entries(msg='policy', **match)


ROOT = pathlib.Path(__file__).resolve().parents[2]


def test_a_rule_is_the_same_in_a_config_and_in_a_bundle():
    """The plugin's manifest and the reader of bundles each have the schema."""
    manifest = json.loads((ROOT / 'plugins/policy-rules/policy-rules.yoi.json').read_text())
    of_bundles = json.loads((ROOT / 'abi/sdk/rules/rules.schema.json').read_text())
    assert manifest['config']['properties']['rules'] == of_bundles


def refused(response, operation, reason=''):
    assert response.status == 403, response
    error = response.json['error']
    said = f"policy does not allow '{operation}'" + (f': {reason}' if reason else '')
    assert (error['code'], error['message']) == ('policy_denied', said)
    return True


def test_rules_tell_doors_and_operations_apart(new_host):
    host = with_policy(new_host, rules(
        rule('look', operations=LOOK),
        rule('work', origins=['runtime'], operations=['worker.*']),
        rule('keep', 'deny', operations=['worker.delete'], workers=['record-*'],
             reason='records are kept')))
    worker = Worker.create(host.v1, wid='record-1')
    worker.say('hello')
    worker.stop()
    refused(host.v1.delete(worker.path), 'worker.delete', 'records are kept')
    assert worker.get()['state'] == 'stopped'
    other = Worker.create(host.v1, wid='other')
    path = '/api/runtimes/main/workers'
    assert host.api.get(f'{path}/other').status == 200
    assert host.api.get('/api/runtimes').status == 200
    assert host.api.get('/api/workers').status == 200
    refused(host.api.post(f'{path}/other/input', {'content': 'x'}), 'worker.input',
            'no policy allows it')
    refused(host.api.post(path, {'worker_id': 'new'}), 'worker.create', 'no policy allows it')
    assert [i['role'] for i in other.transcript()['items']] == []
    other.stop()
    other.delete()
    # What probes and scrapers ask is no question of policy.
    for name in ('/healthz', '/readyz', '/metrics'):
        assert host.api.get(name).status == 200
    denied = logged(host, 3, decision='deny')
    assert [(e['operation'], e['principal'], e.get('rule'), e.get('worker')) for e in denied] == [
        ('worker.delete', 'token:runtime-token', 'keep', 'record-1'),
        ('worker.input', 'surface:browser', None, 'other'),
        ('worker.create', 'surface:browser', None, None)]
    assert denied[0]['plugin'] == 'dev.yoi.policy-rules' and denied[0]['request_id']
    assert not host.entries(msg='policy', decision='allow')


def test_without_policies_all_is_allowed_and_may_be_logged(new_host):
    host = new_host(configs.standard(model=configs.script(), log={'audit': 'all'}))
    Worker.create(host.v1)
    allowed = logged(host, 1, operation='worker.create')
    assert [(e['decision'], e['origin']) for e in allowed] == [('allow', 'runtime')]


def test_nothing_is_logged_when_nothing_is_to_be(new_host):
    host = with_policy(new_host, rules(), log={'audit': 'none'})
    refused(host.v1.get('/v1/runtime'), 'runtime.describe', 'no policy allows it')
    assert not host.entries(msg='policy')


def test_a_rate_is_for_each_principal(new_host):
    host = with_policy(new_host, rules(
        rule('some', operations=['worker.list'], rate={'count': 2, 'per_ms': 3600000})))
    for _ in range(2):
        assert host.v1.get('/v1/workers').status == 200
    refused(host.v1.get('/v1/workers'), 'worker.list', 'more than 2 in 3600000 ms')
    assert host.api.get('/api/runtimes/main/workers').status == 200


@pytest.mark.parametrize('policies, allowed, reason', [
    ([{'decision': 'allow'}, {'decision': 'abstain'}], True, ''),
    ([{'decision': 'allow'}, {'decision': 'deny', 'reason': 'no'}], False, 'no'),
    ([{'decision': 'deny', 'reason': 'no'}, {'decision': 'allow'}], False, 'no'),
    ([{'decision': 'allow'}, {'decision': 'ask', 'reason': 'really'}], False, 'really'),
    ([{'decision': 'abstain'}], False, 'no policy allows it'),
    (['{"decision":"allow"'], False, 'the policy gave no decision'),
    (['{"decision":"Allow"}'], False, 'the policy gave no decision'),
    (['{"decision":["allow"]}'], False, 'the policy gave no decision'),
    (['"allow"'], False, 'the policy gave no decision'),
    ([''], False, 'the policy gave no decision'),
], ids=str)
def test_the_strictest_of_several_counts(new_host, policies, allowed, reason):
    host = with_policy(new_host, *[judge(p) for p in policies])
    answer = host.v1.get('/v1/workers')
    assert answer.status == 200 if allowed else refused(answer, 'worker.list', reason)


@pytest.mark.parametrize('how, reason', [
    ('again', 'the policy did not decide at once'), ('error', 'the policy failed'),
    ('nothing', 'the policy failed'), ('no stream', 'the policy failed'),
    ('late', 'the policy took too long')])
def test_a_policy_that_fails_denies_what_it_was_asked(new_host, how, reason):
    host = with_policy(new_host, judge({'decision': 'allow'}, how=how, only='worker.list'),
                       rules(rule('all')))
    host.allow_log += ('a policy gave no decision', 'a policy took too long')
    refused(host.v1.get('/v1/workers'), 'worker.list', reason)
    assert host.v1.get('/v1/runtime').status == 200
    wait.until(lambda: host.entries(level='error', plugin='dev.yoi.test.judge'), what='the log')


def command(folder, config, *words):
    path = folder / 'yoi.json'
    path.write_text(json.dumps({'plugin_path': PLUGIN_PATH, **config}))
    done = subprocess.run([str(BINARY), *[str(path) if w == 'CONFIG' else w for w in words]],
                          cwd=folder, env=environment(folder), check=False,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=wait.patience(30))
    return done.returncode, done.stdout.decode().replace(str(path), 'yoi.json')


def spent(worker):
    """How a turn ends that is asked for beyond a budget."""
    turn = worker.say('more')['turn']
    assert (turn['state'], turn['reason'], turn['steps']) == ('failed', 'model_error', 1), turn
    assert turn['error']['details'] == {'kind': 'quota', 'retryable': False}
    assert turn['error']['message'].startswith('policy does not let the model be called')
    return True


def test_a_budget_of_tokens_is_kept_before_a_model_is_called(new_host):
    """One turn fits, the second does not; another worker has a budget of its own, until that of
    the principal is used up too."""
    turn, hour = 1000000, 3600000  # what the profile allows a turn
    host = with_policy(
        new_host,
        rules(rule('all', operations=['*']),
              rule('worker', 'deny', reason='enough for today',
                   tokens={'max': 2 * turn - 1, 'per_ms': hour, 'per': ['worker']}),
              rule('caller', 'deny', tokens={'max': 2 * turn, 'per_ms': hour})))
    asked = [Worker.create(host.v1) for _ in range(3)]
    assert asked[0].say('hello')['turn']['state'] == 'completed'
    assert spent(asked[0])
    assert asked[1].say('hello')['turn']['state'] == 'completed'
    assert spent(asked[2])
    assert asked[0].get()['state'] == 'idle'
    # From a browser it is another principal.
    other = Worker(host.api, '/api/runtimes/main', asked[2].id)
    assert other.say('hello')['turn']['state'] == 'completed'
    denied = logged(host, 2, operation='model.start')
    assert [(e['rule'], e['reason'], e['worker'], e['principal'], e['model']) for e in denied] == [
        ('worker', 'enough for today', asked[0].id, 'token:runtime-token', 'main'),
        ('caller', f'more than {2 * turn} tokens in {hour} ms', asked[2].id, 'token:runtime-token',
         'main')]


def test_rules_of_operations_alone_let_models_be_called(new_host):
    """As in a config that was written before models were a question of policy."""
    host = with_policy(new_host, rules(
        rule('all', operations=['*'], rate={'count': 9, 'per_ms': 86400000}),
        rule('no-browsers', 'deny', origins=['browser'], operations=['*'])))
    worker = Worker.create(host.v1)
    assert worker.say('hello')['turn']['state'] == 'completed'


def explain(folder, policy, *words):
    # The runtime is not opened, nor is anything else that could fail.
    return command(folder, {'policy': policy, 'runtimes': [configs.stored('/nowhere/at/all')]},
                   'policy', 'explain', 'CONFIG', *words)


def test_it_can_be_tried_before_anybody_meets_it(tmp_path):
    policy = [rules(rule('look', operations=LOOK), rule('keep', 'deny', workers=['record-*'],
                                                        operations=['worker.delete'],
                                                        reason='records are kept')),
              judge({'decision': 'allow'}, only='worker.delete')]
    to = ('--runtime', 'main')
    assert explain(tmp_path, policy, 'worker.list', *to) == (
        0, "dev.yoi.policy-rules: allow, rule 'look'\ndev.yoi.test.judge: abstain\n"
           "worker.list: dev.yoi.policy-rules: allow, rule 'look'\n")
    assert explain(tmp_path, policy, 'worker.delete', *to, '--worker', 'record-1') == (
        7, "dev.yoi.policy-rules: deny, rule 'keep': records are kept\n"
           'dev.yoi.test.judge: allow\n'
           "worker.delete: dev.yoi.policy-rules: deny, rule 'keep': records are kept\n")
    code, text = explain(tmp_path, policy, 'worker.stop', *to, '--worker', 'a', '--json',
                         '--principal', 'token:ci', '--origin', 'runtime')
    assert (code, json.loads(text)) == (7, {
        'asked': [{'plugin': 'dev.yoi.policy-rules', 'decision': 'abstain'},
                  {'plugin': 'dev.yoi.test.judge', 'decision': 'abstain'}],
        'decision': 'deny', 'reason': 'no policy allows it'})
    assert explain(tmp_path, [], 'worker.stop', *to, '--worker', 'a') == (
        0, 'worker.stop: the config: allow\n')


WRITE = ('--tool', 'pretend_write', '--arguments', '{"path": "src/a.c"}')


def test_a_call_can_be_tried_as_well(tmp_path):
    """Each policy's word, the layers of the worker, and what comes of it."""
    policy = [rules(rule('below-src', tools=['pretend_*'], paths=['src/**']),
                    rule('ci-asks', 'ask', tools=['pretend_write'], principals=['token:ci'])),
              judge({'decision': 'allow'}, only='tool.start')]
    ruled, said = 'dev.yoi.policy-rules: ', 'dev.yoi.test.judge: allow\n'
    by_rule = ruled + "allow, rule 'below-src'\n"
    assert explain(tmp_path, policy, *WRITE) == (
        0, by_rule + said + 'pretend_write: ' + by_rule)
    assert explain(tmp_path, policy, *WRITE, '--principal', 'token:ci') == (
        7, ruled + "ask, rule 'ci-asks'\n" + said + 'pretend_write: ' + ruled +
        "ask, rule 'ci-asks'\n")
    assert explain(tmp_path, policy, *WRITE, '--bundle', 'ask', '--profile', 'deny') == (
        7, by_rule + said + 'bundle: ask\nprofile: deny: the profile does not allow it\n'
        'pretend_write: profile: deny: the profile does not allow it\n')
    code, text = explain(tmp_path, policy[:1], '--tool', 'pretend_write', '--arguments',
                         '{"path": "src/../../etc/passwd"}', '--bundle', 'allow', '--json')
    assert (code, json.loads(text)) == (7, {
        'asked': [{'plugin': 'dev.yoi.policy-rules', 'decision': 'abstain'},
                  {'decision': 'allow', 'rule': 'bundle'}],
        'decision': 'deny', 'reason': 'no policy allows it'})


def test_without_policies_what_only_reads_is_allowed(tmp_path):
    path = ('--arguments', '{"path": "x"}')
    assert explain(tmp_path, [], '--tool', 'pretend_read', *path) == (
        0, 'builtin: allow\npretend_read: builtin: allow\n')
    assert explain(tmp_path, [], '--tool', 'pretend_write', *path) == (
        7, 'builtin: ask\npretend_write: builtin: ask\n')


def test_rules_see_of_a_call_what_is_said_of_it(tmp_path):
    policy = [rules(rule('a', tools=['pretend_*'], plugins=['dev.yoi.test.*'], read_only=False,
                         grants=['mount:workspace:*'], runtimes=['main'], workers=['ada'],
                         arguments={'text': 'x*', '/path': ['src', 'src/*']}))]
    call = {'--tool': 'pretend_write', '--arguments': '{"path": "src/a", "text": "xy"}',
            '--runtime': 'main', '--worker': 'ada', '--grants': '["mount:workspace:rw"]'}
    other = {'--tool': 'pretend_read', '--arguments': '{"path": "src/a", "text": "y"}',
             '--runtime': 'next', '--worker': 'ben', '--grants': '["mount:home:rw"]'}

    def ask(**changes):
        words = {**call, **changes}
        return explain(tmp_path, policy, *[w for pair in words.items() for w in pair])[0]
    assert ask() == 0
    for name in set(other) - {'--tool'}:
        assert ask(**{name: other[name]}) == 7, name
    assert ask(**{'--tool': 'pretend_read', '--arguments': '{"path": "src/a"}'}) == 7


@pytest.mark.parametrize('how', ['again', 'error', 'nothing', 'no stream', 'late'])
def test_a_policy_that_fails_denies_a_call(tmp_path, how):
    policy = [rules(rule('all', tools=['*'])), judge({'decision': 'allow'}, how=how)]
    code, text = explain(tmp_path, policy, *WRITE)
    assert code == 7 and 'pretend_write: dev.yoi.test.judge: deny: the policy ' in text, text


def test_a_limit_that_was_allowed_is_not_allowed_by_silence(tmp_path):
    """A policy of nothing but limits allows nothing; beside another one it can."""
    limits = rules(rule('few', 'deny', tools=['*'],
                        above={'count': 1, 'per_ms': 60000, 'per': ['worker', 'tool']}))
    assert explain(tmp_path, [limits], *WRITE)[0] == 7
    assert explain(tmp_path, [limits, judge({'decision': 'allow'})], *WRITE)[0] == 0


@pytest.mark.parametrize('words, said, code', [
    (['--tool', 'pretend_wrote'], "tool 'pretend_wrote' is not there", 3),
    (['--tool', 'pretend_read', '--plugin', 'dev.yoi.tool-fs'], 'is not there', 3),
    (['--tool', 'pretend_read'], "key 'path' is missing", 3),
    (['--tool', 'pretend_read', '--arguments', '{"path": 1}'], "do not fit: '/path': ", 3),
    (['--tool', 'pretend_read', '--arguments', '{"path"'], 'the arguments are no JSON', 3),
    ([*WRITE, '--grants', '{}'], 'the grants are no array of strings', 3),
    ([*WRITE, '--grants', '[1]'], 'the grants are no array of strings', 3),
    ([*WRITE, '--worker', 'A b'], 'the worker id is not valid', 3),
    ([*WRITE, '--principal', ''], 'the principal is not valid', 3),
    ([*WRITE, '--bundle', 'maybe'], "'--bundle' is allow, ask or deny, not 'maybe'", 2),
    ([*WRITE, '--body', '{}'], "'--body' is for an operation", 2),
    (['worker.get', '--grants', '[]'], "'--grants' is for --tool", 2),
    (['worker.get', *WRITE], "'policy explain' takes a config and an operation, such as "
                             'worker.stop, or --tool', 2),
])
def test_a_call_that_is_none_is_refused(tmp_path, words, said, code):
    got, text = explain(tmp_path, [], *words)
    assert (got, said in text) == (code, True), text


@pytest.mark.parametrize('words, said, code', [
    (['worker.stpo'], "no operation is called 'worker.stpo', did you mean 'worker.stop'", 2),
    (['worker.stop', '--origin', 'moon'], "'--origin' is embed, runtime or browser, not 'moon'", 2),
    ([], "'policy explain' takes a config and an operation, such as worker.stop, or --tool",
     2),
    (['worker.stop', '--runtime', 'main'], 'the worker id is not valid', 3),
    (['worker.list'], 'the runtime id is not valid', 3),
    (['host.workers', '--runtime', 'main'], 'this operation is about no runtime', 3),
    (['worker.list', '--runtime', 'main', '--principal', ''], 'the principal is not valid', 3),
])
def test_a_question_that_is_none_is_refused(tmp_path, words, said, code):
    got, text = explain(tmp_path, [], *words)
    assert (got, said in text) == (code, True), text


@pytest.mark.parametrize('members, said', [
    ({'operations': ['worker.strop']}, "no operation is called 'worker.strop', did you mean "
                                       "'worker.stop'"),
    ({'paths': ['../**']}, "the pattern '../**': no path that has '..' fits a pattern"),
    ({'hosts': ['https://example.com']}, "the pattern 'https://example.com': expected a name, "
                                         "'*.NAME' or an address"),
])
def test_a_rule_that_can_never_fit_stops_the_start(tmp_path, members, said):
    code, text = command(tmp_path, {'policy': [rules(rule('a', **members))]}, 'serve', 'CONFIG')
    said = "cannot open policy 'dev.yoi.policy-rules': rule 'a': " + said
    assert code == 3 and said in text, text


@pytest.mark.parametrize('policy, said', [
    ({'plugin': 'dev.yoi.embedded'}, "expected kind 'policy', found 'runtime'"),
    ({'plugin': 'dev.yoi.policy-rule'}, "no plugin has the id 'dev.yoi.policy-rule', did you mean "
                                        "'dev.yoi.policy-rules'"),
    (rules({'name': 'a', 'decision': 'abstain'}), 'expected one of ["allow","ask","deny"]'),
    (rules({'decision': 'deny'}), "'name'"),
    (rules(rule('a', tool='x')), "unknown key 'tool'; the nearest known one is 'tools'"),
    (rules(rule('a', arguments={'path': 1})), 'expected an array or a string, found a number'),
    (rules(rule('a', hosts=[''])), 'must not be empty'),
    (rules(rule('a', above={'count': 1})), "'per_ms'"),
    (rules(rule('a', rate={'count': 1, 'per_ms': 1, 'per': ['day']})),
     'expected one of ["principal",'),
])
def test_a_wrong_entry_is_found_by_check(tmp_path, policy, said):
    code, text = command(tmp_path, {'policy': [policy]}, 'check', 'CONFIG')
    assert code == 1 and said in text, text


@pytest.mark.parametrize('known, other, missing', [
    (b'"host.*"', b'"most.*"', 'host.runtimes'), (b'"tool.start"', b'"tool.stall"', 'tool.start')])
def test_a_policy_that_has_not_heard_of_an_operation_is_refused(tmp_path, known, other, missing):
    """As one that was built before that operation was there."""
    target = dropped('policy-rules', tmp_path / 'old')
    old = target.read_bytes()
    assert old.count(known) == 1
    target.write_bytes(old.replace(known, other))
    code, text = command(tmp_path, {'plugin_path': [str(target.parent)],
                                    'policy': [rules(rule('all'))]}, 'check', 'CONFIG')
    assert code == 1 and "plugin 'dev.yoi.policy-rules' does not know the operation " \
        f"'{missing}', about which it is asked" in text, text


def test_a_policy_that_has_not_heard_of_models_is_not_asked_about_them(tmp_path, new_host):
    target = dropped('policy-rules', tmp_path / 'old')
    old = target.read_bytes()
    assert old.count(b'"model.start"]') == 1
    target.write_bytes(old.replace(b'"model.start"]', b'"model.stall"]'))
    host = with_policy(
        new_host, rules(rule('all', operations=['worker.*']),
                        rule('none', 'deny', operations=['model.start'])),
        plugin_path=[str(target.parent), *PLUGIN_PATH])
    assert Worker.create(host.v1).say('hello')['turn']['state'] == 'completed'
