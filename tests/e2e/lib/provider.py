"""The mock of a model provider, a program of ours in tests/mock."""
import re

from .host import BUILD, Child


class Provider(Child):
    def __init__(self, folder, *args):
        super().__init__([BUILD / 'tests/mock/provider', *args], folder, None, 'provider')

    def start(self):
        self.spawn()
        line = self.line(lambda s: re.match(r'listening \d+', s), what='listening PORT')
        self.port = int(line.split()[1])
        return self

    def stop(self):
        self.kill()
