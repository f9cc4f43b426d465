"""chat, bundle push and bundle pull with --url: a runtime of another host and no
config."""
import json
import subprocess

import pytest

from lib import configs, remote, wait
from lib.bundle import Bundle
from lib.host import BINARY, TOKEN, environment


@pytest.fixture
def far(new_host):
    return new_host(remote.far_config(remote.free_port()))


def run(tmp_path, *args, stdin='', env=None):
    done = subprocess.run([str(BINARY), *map(str, args)], input=stdin.encode(), cwd=tmp_path,
                          env=environment(tmp_path, {'YOI_TOKEN': TOKEN} if env is None else env),
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False,
                          timeout=wait.patience(30))
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def url(far):
    return f"http://{far.address('runtime')}"


def test_a_conversation_with_a_worker_of_another_host(far, tmp_path):
    code, out, err = run(tmp_path, 'chat', '--url', url(far), '--worker', 'w',
                         stdin='hello\nmore\n')
    assert (code, out) == (0, 'You said: hello\nYou said: more\n'), (code, out, err)
    items = far.v1.ok('GET', '/v1/workers/w/transcript')['transcript']['items']
    assert [i['role'] for i in items] == ['user', 'assistant'] * 2


def test_the_token_may_stand_in_a_file(far, tmp_path):
    (tmp_path / 'token').write_text(TOKEN + '\n')
    (tmp_path / 'token').chmod(0o600)
    code, out, err = run(tmp_path, 'chat', '--url', url(far), stdin='hello\n',
                         env={'YOI_TOKEN_FILE': 'token'})
    assert (code, out) == (0, 'You said: hello\n'), err


def test_a_unix_socket_is_a_url_too(new_host, tmp_path):
    surface = configs.ingress(configs.RUNTIME, listen='unix:far.sock')
    far = new_host(configs.standard(ingresses=[configs.BROWSER, surface]))
    code, out, err = run(tmp_path, 'chat', '--url', f'unix:{far.etc}/far.sock', stdin='hello\n')
    assert (code, out) == (0, 'You said: hello\n'), err


def test_bundles_go_and_come_back(far, tmp_path):
    bundle = Bundle()
    (tmp_path / 'b.json').write_bytes(bundle.raw)
    code, out, err = run(tmp_path, 'bundle', 'push', '--url', url(far), 'b.json', '--json')
    assert code == 0 and json.loads(out)['bundle']['digest'] == bundle.digest, err
    code, _, err = run(tmp_path, 'bundle', 'pull', '--url', url(far), bundle.digest, '-o', 'c.json')
    assert code == 0 and (tmp_path / 'c.json').read_bytes() == bundle.raw, err
    missing = 'sha256:' + '0' * 64
    assert run(tmp_path, 'bundle', 'pull', '--url', url(far), missing)[0] == 3


@pytest.mark.parametrize('args, said', [
    (['chat', 'c.json', '--url', 'http://h'], 'stands for a config'),
    (['chat', '--runtime', 'a', '--url', 'http://h'], 'stands for a config'),
    (['chat', '--url', 'ftp://h'], 'is no URL'),
    (['bundle', 'push', '--url', 'h', 'b.json'], 'is no URL'),
    (['bundle', 'push', '--url', 'http://h'], 'takes'),
    (['bundle', 'pull', '--url', 'http://h', 'a', 'b'], 'one argument too many'),
    (['bundle', 'show', '--url', 'http://h', 'a'], "no option '--url'"),
])
def test_a_wrong_command_line_is_told(tmp_path, args, said):
    code, _, err = run(tmp_path, *args)
    assert code == 2 and said in err, err


def test_a_wrong_token_and_nobody_there_are_told(far, tmp_path):
    code, _, err = run(tmp_path, 'chat', '--url', url(far), stdin='x\n', env={'YOI_TOKEN': 'wrong'})
    assert code == 3 and 'does not accept the token' in err, err
    code, _, err = run(tmp_path, 'chat', '--url', f'http://127.0.0.1:{remote.free_port()}',
                       stdin='x\n')
    assert code == 3 and 'cannot be reached' in err, err
