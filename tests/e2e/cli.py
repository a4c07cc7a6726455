"""The command line, as a process of its own."""
import json
import os
import subprocess

from daemon import BUILD, PATIENCE_SECONDS

RESTFS = os.path.join(BUILD, "restfs")


class Restfs:
    """Runs commands against an endpoint; nothing of the machine's own settings is seen."""

    def __init__(self, endpoint, access_key, secret_key, home):
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "RESTFS_DATA", "XDG_"))}
        self.environment.update(AWS_ENDPOINT_URL=endpoint, AWS_ACCESS_KEY_ID=access_key, AWS_SECRET_ACCESS_KEY=secret_key, HOME=str(home))

    def start(self, *words, **keywords):
        keywords.setdefault("stdin", subprocess.DEVNULL)
        return subprocess.Popen([RESTFS, *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=self.environment, **keywords)

    def run(self, *words, status=0, input=None):
        """What it printed; `status` is what it must end with."""
        done = subprocess.run([RESTFS, *map(str, words)], input=input, stdin=None if input is not None else subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=self.environment, timeout=5 * PATIENCE_SECONDS)
        self.stderr = done.stderr.decode(errors="replace")
        assert done.returncode == status, f"restfs {' '.join(map(str, words))}: {done.returncode}\n{done.stdout[-4000:]}\n{self.stderr[-4000:]}"
        return done.stdout

    def lines(self, *words, **keywords):
        """Its --json, an object a line."""
        return [json.loads(line) for line in self.run(*words, "--json", **keywords).splitlines()]

    def summary(self, *words, **keywords):
        return self.lines(*words, **keywords)[-1]
