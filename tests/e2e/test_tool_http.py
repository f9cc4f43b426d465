"""The tool http_fetch in a turn: a model asks for a page, the host says which it gets."""
import http.server
import threading

import pytest

from lib import configs
from lib.host import merge
from lib.worker import Worker, text_of

CODER = {'profile': {'kind': 'builtin', 'value': 'coder'}}


class Page(http.server.BaseHTTPRequestHandler):
    """/ is a page, /away leads to a place that nobody granted."""

    def do_GET(self):  # pylint: disable=invalid-name
        self.server.asked.append(self.path)
        if self.path == '/away':
            self.send_response(302)
            self.send_header('Location', 'http://169.254.169.254/latest')
            self.end_headers()
            return
        self.send_response(200)
        self.send_header('Content-Type', 'text/html; charset=utf-8')
        self.end_headers()
        self.wfile.write('<h1>H\u00e4user</h1><script>no</script><a href="b">b</a>'.encode())

    def log_message(self, *args):  # pylint: disable=arguments-differ
        pass


@pytest.fixture(name='site')
def _site():
    with http.server.ThreadingHTTPServer(('127.0.0.1', 0), Page) as server:
        server.asked = []
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def fetched(new_host, tmp_path, site, path, granted=True):
    """The item of a call that fetches this path."""
    port = site.server_port
    url = f'http://127.0.0.1:{port}{path}'
    call = {'name': 'http_fetch', 'arguments': {'url': url}}
    model = configs.script(answers=[{'step': 0, 'steps': [{'call': call}]}],
                           steps=[{'say': 'done'}])
    host = new_host(merge(configs.standard(model=model), {'local': {
        'mounts': {'workspace': {'path': str(tmp_path), 'mode': 'ro'}},
        'network': {'workspace': [f'127.0.0.1:{port if granted else 1}']}}}))
    worker = Worker.create(host.v1, **CODER)
    worker.say('go')
    (item,) = [i for i in worker.transcript()['items'] if i['role'] == 'tool']
    return item


def test_a_page_is_fetched_as_text(new_host, tmp_path, site):
    item = fetched(new_host, tmp_path, site, '/')
    place = f'http://127.0.0.1:{site.server_port}'
    assert text_of(item) == (f'200 text/html; charset=utf-8 {place}/\n\n# H\u00e4user\n\n'
                             f'[b]({place}/b)')
    assert site.asked == ['/']


def test_what_is_not_granted_is_not_asked(new_host, tmp_path, site):
    item = fetched(new_host, tmp_path, site, '/', granted=False)
    assert f"port {site.server_port} of '127.0.0.1' is not granted" in text_of(item)
    assert item['error']
    assert site.asked == []


def test_a_redirect_is_asked_about_as_well(new_host, tmp_path, site):
    item = fetched(new_host, tmp_path, site, '/away')
    assert "port 80 of '169.254.169.254' is not granted" in text_of(item)
    assert item['error']
    assert site.asked == ['/away']
