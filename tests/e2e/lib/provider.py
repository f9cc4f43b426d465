"""The mock of a model provider, a program of ours in tests/mock."""
import re

from .host import BUILD, Child
from .wire import Client


class Provider(Child):
    def __init__(self, folder, *args):
        super().__init__([BUILD / 'tests/mock/provider', *args], folder, None, 'provider')

    def start(self):
        self.spawn()
        line = self.line(lambda s: re.match(r'listening \d+', s), what='listening PORT')
        self.port = int(line.split()[1])
        return self

    def last(self):
        """The last request that it was sent, head and body."""
        return Client(f'127.0.0.1:{self.port}', recorded=False).get('/last').text

    def stop(self):
        self.kill()
