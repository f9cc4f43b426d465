"""yoi-host plugins: what there is, what was passed over, what is wrong."""
import hashlib
import json
import subprocess

import pytest
from lib import configs, wait
from lib.host import BINARY, BUILD, ROOT, dropped, environment

CTOR = 'dev.yoi.test.ctor'


@pytest.fixture(name='run')
def runner(tmp_path):
    def run(*args, code=0, program=BINARY):
        env = environment(tmp_path, {'YOI_TEST_CTOR': str(tmp_path / 'ran')})
        done = subprocess.run([str(program), 'plugins', *map(str, args)], cwd=tmp_path, env=env,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, check=False, timeout=wait.patience(30),
                              universal_newlines=True)
        assert done.returncode == code, done.stdout + done.stderr
        return done
    return run


@pytest.fixture(name='config')
def config_file(tmp_path):
    """A config with two copies of `ctor` and something that is no plugin in
    its folder; the first is pinned and used."""
    plugin = dropped('ctor', tmp_path / 'plug', 'a.so')
    plugin.parent.chmod(0o755)
    dropped('ctor', tmp_path / 'plug', 'b.so')
    (tmp_path / 'plug/c.so').write_text('x' * 100)
    digest = 'sha256:' + hashlib.sha256(plugin.read_bytes()).hexdigest()
    config = {'plugin_path': ['plug'], 'plugins': [{'id': CTOR, 'digest': digest}],
              'runtimes': [{'id': 'r', 'plugin': CTOR}]}
    path = tmp_path / 'yoi.json'
    path.write_text(json.dumps(config))
    return path


def test_list_shows_what_is_used_and_why_others_are_not(run, config, tmp_path):
    said = run('list', config).stdout
    row = next(line for line in said.splitlines() if line.startswith(CTOR)).split()
    assert row[1:5] == ['runtime', '1.0.0', 'parallel', 'pinned']
    assert row[5] == '-' and row[6].startswith('sha256:') and row[7].endswith('plug/a.so')
    assert "    runtimes 'r'" in said
    assert "plug': 1 plugins" in said
    assert "b.so': its id 'dev.yoi.test.ctor' is taken by" in said and "c.so': not an ELF" in said
    assert not (tmp_path / 'ran').exists()


def test_list_for_programs(run, config):
    whole = json.loads(run('list', config, '--json').stdout)
    plugin = whole['plugins'][0]
    assert (plugin['id'], plugin['digest']) == (CTOR, plugin['pin'])
    assert plugin['used_by'] == [{'section': 'runtimes', 'name': 'r'}]
    assert plugin['isolation'] == 'none' and plugin['generation'] == 0 and plugin['linked'] is False
    assert [p['path'].rsplit('/', 1)[1] for p in whole['passed_over']] == ['b.so', 'c.so']


def test_a_config_with_findings_is_listed_all_the_same(run, config):
    text = config.read_text()
    config.write_text(text.replace(f'"plugin": "{CTOR}"', '"plugin": "dev.yoi.none"'))
    done = run('list', config, code=1)
    assert CTOR in done.stdout and "no plugin has the id 'dev.yoi.none'" in done.stderr
    config.write_text('{')
    assert 'id ' in run('list', config, code=1).stdout
    assert run('list', 'gone.json', code=1).stderr.startswith('yoi-host: cannot read config')


def test_show_prints_manifest_and_config_keys(run, config):
    said = run('show', CTOR, config).stdout
    for words in (f'id             {CTOR}', 'digest         sha256:',
                  'interfaces     yoi.runtime/1', 'config         note: string'):
        assert words in said, said
    assert json.loads(run('show', CTOR, config, '--json').stdout)['id'] == CTOR
    assert "no plugin has the id 'dev.yoi.none'" in run('show', 'dev.yoi.none', config,
                                                        code=1).stderr
    # The default config; keys that are needed, and those of items.
    said = run('show', 'dev.yoi.model-openai').stdout
    assert 'base_url: string, needed' in said
    assert 'answers[].steps' in run('show', 'dev.yoi.model-script').stdout


@pytest.mark.parametrize('schema,words', [
    ('"enum": ["a", 1]', 'one of a list'), ('"type":["null" ]', 'null'),
    ('"anyOf": [true ]', 'any value'), ('"pattern":  "^a"', 'any value')])
def test_show_says_what_a_key_may_be(run, tmp_path, schema, words):
    path = dropped('ctor', tmp_path / 'plug')
    whole, was = path.read_bytes(), b'"type": "string"'
    assert whole.count(was) == 1 and len(schema) == len(was)
    path.write_bytes(whole.replace(was, schema.encode()))
    assert f'note: {words}' in run('check', path).stdout


def test_a_file_of_this_folder_is_not_looked_for_elsewhere(run, tmp_path):
    dropped('ctor', tmp_path)
    assert 'ctor.so: ok, loaded' in run('check', 'ctor.so', '--load').stdout


def test_check_says_everything_about_a_file_and_runs_it_when_asked_to(run, tmp_path):
    path = dropped('ctor', tmp_path / 'plug')
    assert f'{path}: ok' in run('check', path).stdout
    assert not (tmp_path / 'ran').exists()
    said = run('check', path, '--load').stdout
    assert f'{path}: ok, loaded' in said and 'generation     1' in said
    assert (tmp_path / 'ran').exists()
    (tmp_path / 'ran').unlink()
    path.write_bytes(path.read_bytes().replace(b'"abi": 1', b'"abi": 2')
                     .replace(b'"threads": "parallel"', b'"threads": "sideways"'))
    said = run('check', path, '--load', code=1).stdout
    assert "'abi': expected 1, found 2" in said and "'threads': expected" in said
    assert not (tmp_path / 'ran').exists()
    whole = json.loads(run('check', path, '--json', code=1).stdout)
    assert len(whole['findings']) == 2 and whole['plugin'] is None and whole['ok'] is False


def test_check_of_a_config_looks_at_every_file(run, config):
    said = run('check', config, code=1).stdout
    assert 'a.so: ok' in said and 'c.so: not an ELF file' in said
    assert "passed over" in said and 'b.so' in said
    for name in ('b.so', 'c.so'):
        (config.parent / 'plug' / name).unlink()
    assert 'a.so: ok' in run('check', config).stdout
    assert 'embedded.so: ok' in run('check').stdout


def test_every_plugin_of_the_tree_is_sound_and_loads(run):
    for folder in ('runtimes', 'plugins'):
        for path in sorted((BUILD / folder).glob('*.so')):
            run('check', path, '--load')


def test_what_others_wrote_does_not_reach_the_terminal(run, tmp_path):
    path = dropped('ctor', tmp_path / 'plug')
    path.write_bytes(path.read_bytes().replace(b'"yoi.plugin/1"', b'"\\u001b[2J!!"'))
    assert '\x1b' not in run('check', path, code=1).stdout
    assert '\x1b' not in run('check', path, '--json', code=1).stdout


@pytest.mark.parametrize('args', [
    [], ['lits'], ['list', 'a', 'b'], ['show'], ['show', 'a', 'b', 'c'], ['check', 'a.so', 'b.so'],
    ['list', '--load'], ['check', '--load'], ['check', 'yoi.json', '--load'], ['list', '--fast']])
def test_a_wrong_command_line_is_exit_2(run, args):
    assert '--help' in run(*args, code=2).stderr


def test_the_static_program_lists_its_own(run):
    rows = json.loads(run('list', '--json', program=BUILD / 'yoi-host-static').stdout)['plugins']
    embedded = next(r for r in rows if r['id'] == 'dev.yoi.embedded')
    assert embedded['linked'] is True and 'digest' not in embedded and 'path' not in embedded
    assert '(linked into the program)' in run('list', program=BUILD / 'yoi-host-static').stdout


@pytest.mark.skipif('san' in BUILD.name, reason='the program links without a sanitizer')
@pytest.mark.parametrize('shared', [True, False])
def test_an_applications_own_cjson_is_named_in_the_log(tmp_path, shared):
    how = [f'-L{BUILD}', '-lyoi', f'-Wl,-rpath,{BUILD}'] if shared else [BUILD / 'libyoi.a']
    argv = ['gcc', '-std=c11', f'-I{ROOT}/abi', ROOT / 'tests/e2e/own_cjson.c', '-o',
            tmp_path / 'app', *how, '-lcjson', '-lcrypto', '-lpthread', '-ldl']
    subprocess.run([str(a) for a in argv], check=True, timeout=wait.patience(60))
    done = subprocess.run([str(tmp_path / 'app'), str(BUILD)], cwd=tmp_path,
                          env=environment(tmp_path), check=False, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=wait.patience(30),
                          universal_newlines=True)
    assert done.returncode == 0, done.stderr
    said = [line for line in done.stderr.splitlines() if 'level=warn' in line]
    assert len(said) == 1 and 'another cJSON' in said[0], done.stderr
    assert 'found=1.0.9' in said[0] and 'object=app' in said[0]


def test_the_systems_cjson_is_no_news(new_host):
    host = new_host(configs.standard())
    assert 'cJSON' not in host.log
    host.stop()
