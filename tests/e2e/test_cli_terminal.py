"""The command line on a terminal: progress is drawn and taken away again, colours are there, and nothing of this in a pipe."""
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import threading

import pytest

from cli import RESTFS, Restfs
from daemon import PATIENCE_SECONDS, wait_until

MIB = 1024 * 1024
BAR = re.compile(r"\r\x1b\[K([^\r\x1b]+)")


class Terminal:
    """A command whose stderr, and by default stdout, is a terminal of its own; its stdin is a pipe that the test writes to."""

    def __init__(self, environment, *words, columns=80, stdout=None):
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        self.before = termios.tcgetattr(slave)
        self.slave = slave  # open, so that what was drawn may be read when the command has ended
        self.bytes = b""
        self.process = subprocess.Popen([RESTFS, *words], stdin=subprocess.PIPE, stdout=stdout or slave, stderr=slave, env=environment,
                                        start_new_session=True, preexec_fn=lambda: fcntl.ioctl(slave, termios.TIOCSCTTY, 0))
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        while select.select([self.master], [], [], PATIENCE_SECONDS)[0]:
            part = os.read(self.master, 65536)
            self.bytes += part
            if b"END-OF-TEST" in self.bytes:
                return

    @property
    def text(self):
        return self.bytes.replace(b"END-OF-TEST", b"").decode()

    def bars(self):
        return BAR.findall(self.text)

    def write(self, data):
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def finish(self):
        """The exit status, when everything drawn has been read."""
        if not self.process.stdin.closed:
            self.process.stdin.close()
        status = self.process.wait(PATIENCE_SECONDS)
        os.write(self.slave, b"END-OF-TEST")
        self.reader.join(PATIENCE_SECONDS)
        after = termios.tcgetattr(self.slave)
        os.close(self.slave)
        os.close(self.master)
        assert after == self.before, "the terminal's settings are not what they were"
        return status

    def screen(self):
        """What is left to see, line by line: of control characters, those that are used here."""
        lines, line, at = [], [], 0
        for piece in re.findall(r"\x1b\[[0-9;?]*[A-Za-z]|.|\n", self.text, re.S):
            if piece == "\n":
                lines.append("".join(line))
                line, at = [], 0
            elif piece == "\r":
                at = 0
            elif piece == "\x1b[K":
                del line[at:]
            elif piece[0] != "\x1b":
                line[at:at + 1] = [piece]
                at += 1
        return lines + ["".join(line)]


@pytest.fixture
def environment(daemon, tmp_path):
    found = Restfs(daemon.s3, daemon.access_key, daemon.secret_key, tmp_path).environment
    found.pop("NO_COLOR", None)
    return found | {"TERM": "xterm", "TZ": "UTC"}


def test_progress_is_drawn_and_taken_away(environment, s3, bucket):
    run = Terminal(environment, "pipe", f"s3://{bucket}/a", "--part-size=5M")
    run.write(bytes(11 * MIB))
    wait_until(lambda: any("10.0 MiB  " in bar and "/s" in bar for bar in run.bars()))
    assert run.finish() == 0
    assert "MiB/s" not in "".join(run.screen()[-1:]) and run.text.rfind("\r\x1b[K") > run.text.rfind("MiB/s  ")
    assert s3.head_object(Bucket=bucket, Key="a")["ContentLength"] == 11 * MIB


def test_progress_of_a_known_size_has_a_bar(environment, bucket, tmp_path):
    (tmp_path / "file").write_bytes(bytes(4 * MIB))
    run = Terminal(environment, "cp", str(tmp_path / "file"), f"s3://{bucket}/", "--limit-rate=1M")
    wait_until(lambda: any(re.search(r"\[=*>? *\] +\d+%  .* / 4\.0 MiB", bar) for bar in run.bars()))
    assert run.finish() == 0
    assert run.screen()[-1] == "" and not any("[=" in line for line in run.screen())


def test_progress_fits_a_narrow_terminal(environment, bucket):
    run = Terminal(environment, "pipe", f"s3://{bucket}/a", "--part-size=5M", columns=20)
    run.write(bytes(11 * MIB))
    wait_until(lambda: any("10.0 MiB" in bar for bar in run.bars()))
    assert run.finish() == 0
    assert all(len(bar) < 20 for bar in run.bars())


@pytest.mark.parametrize("option, environment_has", [("--quiet", {}), ("--json", {}), (None, {"TERM": "dumb"})])
def test_no_progress_where_it_is_not_wanted(environment, bucket, option, environment_has):
    """As much as in the tests above, in which it is drawn before the end."""
    run = Terminal(environment | environment_has, "pipe", f"s3://{bucket}/a", "--part-size=5M", *([option] if option else []), stdout=subprocess.DEVNULL)
    run.write(bytes(11 * MIB))
    assert run.finish() == 0 and run.text == ""


def test_interrupted_it_leaves_the_terminal_clean(environment, s3, bucket):
    run = Terminal(environment, "pipe", f"s3://{bucket}/a", "--part-size=5M")
    run.write(bytes(11 * MIB))
    wait_until(lambda: any("10.0 MiB  " in bar for bar in run.bars()))
    os.write(run.master, b"\x03")
    wait_until(lambda: run.process.poll() is not None)
    assert run.finish() in (1, -signal.SIGINT, 128 + signal.SIGINT)
    last = run.screen()[-1]
    assert "MiB" not in last and "pipe" not in last, run.text
    assert "\x1b[?25l" not in run.text.replace("\x1b[?25h", "")
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_terminated_it_takes_the_bar_away(environment, bucket):
    run = Terminal(environment, "pipe", f"s3://{bucket}/a", "--part-size=5M")
    run.write(bytes(11 * MIB))
    wait_until(lambda: run.bars())
    run.process.send_signal(signal.SIGTERM)
    wait_until(lambda: run.process.poll() is not None)
    assert run.finish() != 0 and "MiB" not in run.screen()[-1]


def test_colours_on_a_terminal_only(environment, s3, bucket):
    s3.put_object(Bucket=bucket, Key="below/a", Body=b"")

    def shown(*words, **more):
        run = Terminal(environment | more, *words)
        status = run.finish()
        return status, run.text

    assert "\x1b[34mbelow/\x1b[0m" in shown("ls", f"s3://{bucket}")[1]
    assert "\x1b" not in shown("ls", f"s3://{bucket}", NO_COLOR="1")[1]
    assert "\x1b" not in shown("ls", f"s3://{bucket}", TERM="dumb")[1]
    status, text = shown("stat", f"s3://{bucket}/no")
    assert status == 1 and text.startswith("\x1b[31mrestfs:\x1b[0m ")
    # Standard output is a file: no colours there.
    done = subprocess.run([RESTFS, "ls", f"s3://{bucket}"], env=environment, capture_output=True, check=True)
    assert b"\x1b" not in done.stdout and done.stderr == b""


def test_names_do_not_move_the_cursor(environment, s3, bucket):
    s3.put_object(Bucket=bucket, Key="a\x1b[2Jb\rc\n", Body=b"")
    for command in ("ls", "find", "tree", "du"):
        run = Terminal(environment | {"NO_COLOR": "1"}, command, f"s3://{bucket}", *(["--depth=1"] if command == "du" else []))
        assert run.finish() == 0 and "\x1b" not in run.text
    piped = subprocess.run([RESTFS, "find", "-0", f"s3://{bucket}"], env=environment, capture_output=True, check=True).stdout
    assert piped == f"s3://{bucket}/a\x1b[2Jb\rc\n\0".encode()


def test_a_measurement_shows_progress_and_then_only_its_table(environment, bucket):
    run = Terminal(environment, "bench", f"s3://{bucket}", "--duration=1", "--clients=2", "--objects=10", "--mix=put,get")
    assert run.finish() == 0
    assert run.screen()[-1] == "" and run.screen()[0].startswith("http://")


def test_nothing_but_results_in_a_pipe(environment, bucket, tmp_path):
    (tmp_path / "file").write_bytes(bytes(MIB))
    for words in (["cp", str(tmp_path / "file"), f"s3://{bucket}/", "--limit-rate=1M"], ["ls", f"s3://{bucket}"], ["rm", f"s3://{bucket}/file"]):
        done = subprocess.run([RESTFS, *words], env=environment, capture_output=True, check=True)
        assert done.stderr == b"" and b"\x1b" not in done.stdout and b"\r" not in done.stdout
