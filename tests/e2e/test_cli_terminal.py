"""The command line on a terminal: progress is drawn and taken away again, colours are there, and nothing of this in a pipe."""
import fcntl
import os
import pty
import re
import select
import signal
import socket
import struct
import subprocess
import termios
import threading
import unicodedata

import pytest

from cli import RESTFS, Restfs
from daemon import PATIENCE_SECONDS, wait_until

MIB = 1024 * 1024
BAR = re.compile(r"\r\x1b\[K([^\r\x1b]+)")


class Terminal:
    """A command whose stderr, and by default stdout, is a terminal of its own; its stdin is a pipe that the test writes to."""

    def __init__(self, environment, *words, columns=80, rows=24, stdout=None):
        self.master, slave = pty.openpty()
        self.resize(columns, rows)
        self.before = termios.tcgetattr(slave)
        self.slave = slave  # open, so that what was drawn may be read when the command has ended
        self.bytes = b""
        self.process = subprocess.Popen([RESTFS, *words], stdin=subprocess.PIPE, stdout=stdout or slave, stderr=slave, env=environment,
                                        start_new_session=True, preexec_fn=lambda: self._take(slave))
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    @staticmethod
    def _take(slave):
        fcntl.ioctl(slave, termios.TIOCSCTTY, 0)

    def resize(self, columns, rows=24):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def press_ctrl_c(self):
        """The exit status."""
        os.write(self.master, b"\x03")
        return self.finish()

    def screens(self):
        """What was drawn, whole, by who draws anew: lines of each."""
        return [screen.replace("\r\n", "\n").split("\n") for screen in self.text.split("\x1b[H\x1b[2J")[1:-1]]

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


def columns_of(text):
    """On a terminal."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


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


def test_progress_counts_bytes_on_their_way(environment, s3, bucket, tmp_path):
    """Of parts that all take long nothing is done for a long time."""
    (tmp_path / "file").write_bytes(os.urandom(40 * MIB))
    s3.upload_file(str(tmp_path / "file"), bucket, "file")
    for source, target in ((str(tmp_path / "file"), f"s3://{bucket}/up"), (f"s3://{bucket}/file", str(tmp_path / "down"))):
        run = Terminal(environment, "cp", source, target, "--limit-rate=2M")
        wait_until(lambda: any(re.search(r" [1-9]\d*%  [\d.]+ MiB / 40.0 MiB  [\d.]+ [KM]iB/s  \d+:\d\d", bar) for bar in run.bars()))
        assert not [u for u in s3.list_multipart_uploads(Bucket=bucket).get("Uploads", [])
                    if s3.list_parts(Bucket=bucket, Key=u["Key"], UploadId=u["UploadId"]).get("Parts")], "a part was done: nothing was shown by this"
        run.press_ctrl_c()


def test_progress_fits_a_narrow_terminal(environment, bucket):
    run = Terminal(environment, "pipe", f"s3://{bucket}/a", "--part-size=5M", columns=20)
    run.write(bytes(11 * MIB))
    wait_until(lambda: any("10.0 MiB" in bar for bar in run.bars()))
    assert run.finish() == 0
    assert all(len(bar) < 20 for bar in run.bars())


@pytest.mark.parametrize("columns", [1, 2, 7])
def test_progress_fits_a_terminal_of_next_to_nothing(environment, bucket, columns):
    run = Terminal(environment, "pipe", f"s3://{bucket}/a", "--part-size=5M", columns=columns)
    run.write(bytes(11 * MIB))
    wait_until(lambda: run.text.count("\r\x1b[K") > 3)
    assert run.finish() == 0
    assert all(len(bar) < columns for bar in run.bars())


def test_progress_fits_when_the_window_has_another_size(environment, bucket):
    run = Terminal(environment, "pipe", f"s3://{bucket}/a", "--part-size=5M")
    run.write(bytes(11 * MIB))
    wait_until(lambda: any("stdin" in bar and "10.0 MiB" in bar for bar in run.bars()))
    run.resize(14)
    wait_until(lambda: run.bars() and len(run.bars()[-1]) < 14)
    narrow = len(run.bars())
    wait_until(lambda: len(run.bars()) > narrow + 2)
    run.resize(100)
    assert all(len(bar) < 14 for bar in run.bars()[narrow:narrow + 2])
    wait_until(lambda: "stdin" in run.bars()[-1])
    assert run.finish() == 0


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
    assert run.finish() == -signal.SIGINT
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
    assert run.finish() == -signal.SIGTERM and "MiB" not in run.screen()[-1]


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


def test_health_has_its_colour(environment, daemon):
    words = ["--data", str(daemon.data), "status"]
    for more, coloured in [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True), ({"TERM": "dumb"}, False)]:
        run = Terminal(environment | more, *words)
        assert run.finish() == 0
        assert ("\nhealth    \x1b[32mok\x1b[0m\n" in run.text.replace("\r", "")) == coloured and (coloured or "\x1b" not in run.text), more


def test_names_do_not_move_the_cursor(environment, s3, bucket):
    s3.put_object(Bucket=bucket, Key="a\x1b[2Jb\rc\n", Body=b"")
    for command in ("ls", "find", "tree", "du"):
        run = Terminal(environment | {"NO_COLOR": "1"}, command, f"s3://{bucket}", *(["--depth=1"] if command == "du" else []))
        assert run.finish() == 0 and "\x1b" not in run.text
    piped = subprocess.run([RESTFS, "find", "-0", f"s3://{bucket}"], env=environment, capture_output=True, check=True).stdout
    assert piped == f"s3://{bucket}/a\x1b[2Jb\rc\n\0".encode()


NAMES = ["plain", "日本語の名前", "e\u0301te\u0301", "Ünï/çødé", "\U0001f600"]


def test_names_of_all_scripts_are_shown_as_they_are(environment, s3, bucket):
    for name in NAMES:
        s3.put_object(Bucket=bucket, Key=name, Body=b"12345")
    for words in (["ls", "-r", f"s3://{bucket}"], ["find", f"s3://{bucket}"]):
        run = Terminal(environment, *words)
        assert run.finish() == 0 and sorted(line.rstrip().split(f"{bucket}/")[-1].split("  ")[-1] for line in run.text.splitlines()) == sorted(NAMES), run.text
    run = Terminal(environment | {"LC_ALL": "C"}, "tree", f"s3://{bucket}")
    assert run.finish() == 0 and all(name.split("/")[-1] in run.text for name in NAMES)


def test_tables_are_straight_whatever_script_the_names_are_in(environment, daemon, s3, bucket):
    for name in NAMES:
        s3.put_object(Bucket=bucket, Key=name, Body=b"12345")
    run = Terminal(environment | {"LC_ALL": "C"}, "--data", str(daemon.data), "feed", bucket, columns=200)
    assert run.finish() == 0
    head, *rows = run.text.replace("\r", "").splitlines()
    puts = [row for row in rows if "  put  " in row]
    assert len(puts) == len(NAMES)
    for row in puts:
        assert columns_of(row[:row.index("  5  ") + 2]) == head.index("size"), run.text


def test_top_fits_its_window(environment, daemon, s3, bucket):
    """Also one that changes, with more under way than there are rows, and names that are longer than a row."""
    url = s3.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "名" * 100})
    host, port = daemon.s3.removeprefix("http://").split(":")
    uploads = [socket.create_connection((host, int(port)), PATIENCE_SECONDS) for _ in range(12)]
    for upload in uploads:
        upload.sendall(f"PUT {url[len(daemon.s3):]} HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: 10\r\n\r\nx".encode())
    run = Terminal(environment, "--data", str(daemon.data), "top", columns=61, rows=10)
    try:
        wait_until(lambda: any("12 under way, those that take longest:" in screen or "13 under way, those that take longest:" in screen
                               for screen in run.screens()))
        assert all(len(screen) <= 10 and all(columns_of(line) <= 61 for line in screen) for screen in run.screens()), run.text
        run.resize(400, 40)
        wait_until(lambda: any(sum("名" * 100 in line for line in screen) == 12 for screen in run.screens()))
        run.resize(20, 5)
        wait_until(lambda: run.screens() and len(run.screens()[-1]) <= 5)
        assert all(columns_of(line) <= 20 for line in run.screens()[-1]), run.text
        assert run.press_ctrl_c() == -signal.SIGINT
    finally:
        for upload in uploads:
            upload.close()


def test_top_shows_one_look_where_nothing_can_be_drawn(environment, daemon):
    run = Terminal(environment | {"TERM": "dumb"}, "--data", str(daemon.data), "top")
    wait_until(lambda: run.process.poll() is not None)
    assert run.finish() == 0 and run.text.count("under way") == 1 and "\x1b" not in run.text


def test_a_watch_on_a_terminal(environment, daemon, s3, bucket):
    """Ends by Ctrl-C, and a name is a line there too."""
    run = Terminal(environment, "--data", str(daemon.data), "watch", bucket, "--after=0", columns=20)
    s3.put_object(Bucket=bucket, Key="a\x1b[2Jb\rc\n名", Body=b"")
    wait_until(lambda: "名" in run.text)
    assert run.process.poll() is None
    assert run.press_ctrl_c() == -signal.SIGINT
    assert "a\\x1b[2Jb\\x0dc\\x0a名" in run.text and "\x1b" not in run.text


def test_nothing_is_asked(environment, s3, bucket):
    """Standard input stays open, and nobody types anything."""
    for name in ("a", "below/b"):
        s3.put_object(Bucket=bucket, Key=name, Body=b"")
    for words in (["rm", "-r", f"s3://{bucket}/"], ["rb", f"s3://{bucket}"]):
        run = Terminal(environment, *words)
        assert run.process.wait(PATIENCE_SECONDS) == 0
        run.finish()


def test_a_measurement_shows_progress_and_then_only_its_table(environment, bucket):
    run = Terminal(environment, "bench", f"s3://{bucket}", "--duration=1", "--clients=2", "--objects=10", "--mix=put,get")
    assert run.finish() == 0
    assert run.screen()[-1] == "" and run.screen()[0].startswith("http://")


def test_nothing_but_results_in_a_pipe(environment, bucket, tmp_path):
    (tmp_path / "file").write_bytes(bytes(MIB))
    for words in (["cp", str(tmp_path / "file"), f"s3://{bucket}/", "--limit-rate=1M"], ["ls", f"s3://{bucket}"], ["rm", f"s3://{bucket}/file"]):
        done = subprocess.run([RESTFS, *words], env=environment, capture_output=True, check=True)
        assert done.stderr == b"" and b"\x1b" not in done.stdout and b"\r" not in done.stdout
