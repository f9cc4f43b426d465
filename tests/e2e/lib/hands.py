"""Tools of which a test can say afterwards what they did (tests/plugins/hands)."""
import json

from . import configs
from .host import BUILD, PLUGIN_PATH


class Scene:
    """A folder with the hands, a workspace and the ledger; configs over it."""

    def __init__(self, folder):
        self.folder, self.ledger = folder, folder / 'ledger'
        self.env = {'HANDS_LEDGER': str(self.ledger)}
        (folder / 'workspace').mkdir()

    def config(self, model, runtimes=None, **keys):
        """model: an entry of `models`."""
        return configs.standard(
            model=model, runtimes=runtimes,
            plugin_path=[str(BUILD / 'tests/hands'), *PLUGIN_PATH],
            local={'secrets': configs.SECRETS,
                   'mounts': {'workspace': {'path': str(self.folder / 'workspace'),
                                            'mode': 'rw'}}}, **keys)

    def effects(self):
        """The arguments of each effect; the keys are never the same twice."""
        rows = [line.split(' ', 1) for line in self.ledger.read_text().splitlines()] \
            if self.ledger.exists() else []
        assert len({key for key, _ in rows}) == len(rows)
        assert all(len(key) == 64 for key, _ in rows)
        return [json.loads(arguments) for _, arguments in rows]
