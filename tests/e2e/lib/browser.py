"""A browser as far as its cookies and origins go, and pages that attack one.

Browser keeps what Set-Cookie says and sends it as the standard has it: SameSite,
Secure, Path, Max-Age. `site` is from where a request comes: the page itself, a
link or the address line ('none'), another port of the host, another site.
"""
import http.cookies

from . import wire


class Browser:
    def __init__(self, client):
        self.client, self.jar = client, {}

    @property
    def origin(self):
        return self.client.base

    def cookies(self, site):
        """SameSite=Strict: never with what another site began. Ports are one site."""
        strict = site == 'cross-site'
        return {k: m.value for k, m in self.jar.items()
                if not (strict and m['samesite'].lower() == 'strict') and
                not (m['secure'] and not self.client.base.startswith('https:'))}

    def keep(self, response):
        for text in response.all('set-cookie'):
            for name, morsel in http.cookies.SimpleCookie(text).items():
                if morsel['max-age'] == '0':
                    self.jar.pop(name, None)
                else:
                    self.jar[name] = morsel

    def request(self, method, target, body=None, site='same-origin', origin=None, headers=None,
                **kw):
        fields = {'Sec-Fetch-Site': site}
        if method != 'GET' or site not in ('same-origin', 'none'):
            fields['Origin'] = origin or (self.origin if site in ('same-origin', 'none')
                                          else 'https://evil.example')
        jar = self.cookies(site)
        if jar:
            fields['Cookie'] = '; '.join(f'{k}={v}' for k, v in jar.items())
        fields.update(headers or {})
        r = self.client.request(method, target, body, headers=fields, **kw)
        self.keep(r)
        return r

    def get(self, target, **kw):
        return self.request('GET', target, **kw)

    def post(self, target, body=None, **kw):
        return self.request('POST', target, body, **kw)

    def login(self, token):
        return self.post('/login', {'token': token})

    def session(self):
        """(name, value) of the session's cookie."""
        (found,) = [(k, m.value) for k, m in self.jar.items() if 'yoi-' in k]
        return found


def of(host, **kw):
    return Browser(wire.Client(wire.Address(host.address('browser'), **kw)))
