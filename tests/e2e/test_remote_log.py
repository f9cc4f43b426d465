"""What the log of the near host says of a remote that it cannot use: which runtime
it is and why, in words that name no address, name or path."""
import socket

import pytest

from lib import configs, pki, remote, wait
from lib.proxy import Proxy, answer
from lib.tls import Front

pytestmark = pytest.mark.tsan
LINE = {'msg': 'the remote cannot be used', 'plugin': 'dev.yoi.http-remote', 'level': 'warn'}


def causes(near, rid):
    """Of each line about the runtime."""
    return [e.get('cause') for e in near.entries(runtime=rid, **LINE)]


def first(near, rid):
    return wait.until(lambda: causes(near, rid), what=f'a line of {rid}')[0]


def near_of(new_host, *entries):
    return new_host(remote.near_config(*entries, ingresses=[configs.BROWSER]))


def front(ca, folder, **kind):
    """Speaks TLS with a certificate of that kind, and passes on to nobody."""
    pem = folder / 'front.pem'
    pem.write_bytes(b''.join(ca.issue(**kind)))
    return Front(remote.free_port(), pem, None)


def test_each_line_names_its_runtime_and_the_cause(new_host, tmp_path):
    ca, page = pki.Authority(tmp_path / 'ca'), Proxy(1, lambda rng: ('say', answer(404, b'none')))
    good, old = front(ca, tmp_path), front(ca, tmp_path, expired=True)
    port, missing = remote.free_port(), tmp_path / 'nobody.sock'
    urls = {'refused': f'http://127.0.0.1:{port}', 'page': f'http://127.0.0.1:{page.port}',
            'strange': f'https://127.0.0.1:{good.port}', 'old': f'https://127.0.0.1:{old.port}'}
    near = near_of(
        new_host, remote.entry('http://far', 'socket', socket=str(missing)),
        *(remote.entry(url, rid, **({'ca_file': str(ca.file)} if rid == 'old' else {}))
          for rid, url in urls.items()))
    assert first(near, 'refused') == 'Connection refused'
    assert first(near, 'page') == 'HTTP status 404'
    assert first(near, 'socket') == 'No such file or directory'
    assert first(near, 'strange') == 'the issuer of the certificate is not trusted'
    assert first(near, 'old') == 'the certificate has expired'
    said = [{**e, 'time': ''} for e in near.entries(**LINE)]
    for hidden in (*urls.values(), '127.0.0.1', str(port), 'nobody.sock'):
        assert hidden not in str(said)
    page.stop()
    good.close()
    old.close()


def test_who_mends_one_cause_finds_the_next(new_host):
    """Both are runtime_unavailable to whoever asks."""
    with socket.socket() as taken:
        taken.bind(('127.0.0.1', 0))  # nobody listens
        near = near_of(new_host, remote.entry(f'http://127.0.0.1:{taken.getsockname()[1]}',
                                              probe_ms=50))
        assert first(near, 'main') == 'Connection refused'
        taken.listen(64)
        taken.settimeout(0.1)

        def closes():
            try:
                taken.accept()[0].close()
            except TimeoutError:
                pass
            return len(causes(near, 'main')) > 1
        wait.until(closes, what='the next cause')
        assert causes(near, 'main')[1] != 'Connection refused'


def test_a_token_over_plain_http_is_said_of_its_runtime(new_host):
    near = near_of(new_host, remote.entry('http://far.invalid', 'bare', connect_ms=200),
                   remote.entry('http://127.0.0.1:9', 'here'))
    bare = near.entries(msg='a token is sent over plain http to another machine')
    assert [(e['runtime'], e['what']) for e in bare] == [('bare', 'base_url')]
    assert first(near, 'bare') in ("Couldn't resolve host name", 'Could not resolve hostname',
                                   'Timeout was reached')
    assert 'far.invalid' not in near.log
