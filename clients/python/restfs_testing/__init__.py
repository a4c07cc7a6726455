"""A store of one's own for a test: `with Restfs() as store:` starts restfsd in memory, on a free port, and ends it with the block.

It needs restfsd, which it takes from its argument, from RESTFSD in the environment, or from the PATH; and nothing else: boto3 only when
client() is called.
"""
import os
import secrets
import select
import shutil
import subprocess
import tempfile
import time

__all__ = ["Restfs", "RestfsError"]


class RestfsError(RuntimeError):
    """restfsd is not there, or did not start; the text has what it said."""


class Restfs:
    """A running store.

    endpoint, admin           URLs
    access_key, secret_key    of root, who may do everything
    region                    us-east-1
    """

    region = "us-east-1"

    def __init__(self, *options, binary=None, timeout=60):
        """`options`: more of restfsd's, for example "--set", "s3.domain=s3.test", or "--data" and a directory to be in. `timeout`: seconds."""
        self.binary = binary or os.environ.get("RESTFSD") or shutil.which("restfsd") or self._missing()
        self.options = options
        self.timeout = timeout
        self.access_key = "AK" + secrets.token_hex(9).upper()
        self.secret_key = secrets.token_hex(20)
        self.endpoint = self.admin = None
        self._process = self._log = None

    @staticmethod
    def _missing():
        raise RestfsError("there is no restfsd in the PATH; RESTFSD in the environment may name it")

    def start(self):
        environment = dict(os.environ, RESTFS_ROOT_ACCESS_KEY=self.access_key, RESTFS_ROOT_SECRET_KEY=self.secret_key)
        self._log = tempfile.TemporaryFile()
        try:
            # It ends with the pipe, and so with this process, however that ends.
            self._process = subprocess.Popen([self.binary, "--ephemeral", "--stop-at-eof", *self.options], stdin=subprocess.PIPE,
                                             stdout=subprocess.PIPE, stderr=self._log, env=environment, start_new_session=True)
        except OSError as error:
            self.stop()
            raise RestfsError(f"{self.binary} cannot be run: {error}") from error
        line = self._first_line()
        words = dict(word.partition("=")[::2] for word in line.split()[1:]) if line.startswith("ready ") else {}
        if "s3" not in words or "admin" not in words:
            why, log = self._why_not_ready(), self.log()
            self.stop()
            raise RestfsError(f"{self.binary} {why}:\n{line}{log}")
        self.endpoint, self.admin = words["s3"], words["admin"]
        return self

    def _first_line(self):
        end, line = time.monotonic() + self.timeout, b""
        output = self._process.stdout.fileno()
        while not line.endswith(b"\n"):
            ready, _, _ = select.select([output], [], [], max(0, end - time.monotonic()))
            piece = os.read(output, 4096) if ready else b""
            if not piece:
                break
            line += piece
        return line.decode(errors="replace")

    def _why_not_ready(self):
        try:
            return f"ended with status {self._process.wait(1)}"  # what has closed its output is about to end
        except subprocess.TimeoutExpired:
            return f"did not get ready in {self.timeout} s"

    def stop(self):
        """The store and all that is in it are gone when this returns."""
        if self._process:
            self._process.stdin.close()
            try:
                self._process.wait(self.timeout)
            except subprocess.TimeoutExpired:
                self._process.kill()  # the next one that starts removes its directory
                self._process.wait()
            self._process.stdout.close()
        if self._log:
            self._log.close()
        self._process = self._log = self.endpoint = self.admin = None

    def __enter__(self):
        return self.start()

    def __exit__(self, *exception):
        self.stop()

    def log(self):
        """What restfsd has written until now."""
        return os.pread(self._log.fileno(), os.fstat(self._log.fileno()).st_size, 0).decode(errors="replace") if self._log else ""

    def environment(self):
        """For a program that reads the usual variables: subprocess.run([...], env={**os.environ, **store.environment()})."""
        return {"AWS_ENDPOINT_URL": self.endpoint, "AWS_ACCESS_KEY_ID": self.access_key, "AWS_SECRET_ACCESS_KEY": self.secret_key,
                "AWS_REGION": self.region, "AWS_DEFAULT_REGION": self.region}

    def client(self, **arguments):
        """A boto3 client; `arguments` stand over what it is given. It presigns with version 4, which boto3 does not by itself at another endpoint than AWS's."""
        import boto3
        from botocore.config import Config

        config = Config(s3={"addressing_style": "path"}, signature_version="s3v4").merge(arguments.pop("config", Config()))
        return boto3.client("s3", **{"endpoint_url": self.endpoint, "region_name": self.region, "aws_access_key_id": self.access_key,
                                     "aws_secret_access_key": self.secret_key, "config": config, **arguments})
