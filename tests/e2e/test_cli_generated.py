"""What is made from the table of commands beside the program: completions, asked through the shells themselves, and manual pages."""
import os
import pathlib
import re
import shlex
import subprocess

import pytest

from daemon import BUILD, PATIENCE_SECONDS, ROOT

GENERATED = pathlib.Path(BUILD) / "clients" / "cli" / "generate"
RESTFS = BUILD + "/restfs"
COMMANDS = re.findall(r'^(?:LOCAL_)?COMMAND\("([^"]+)"', (ROOT / "clients" / "cli" / "commands.def").read_text(), re.M)
TOPICS = {command.split()[0] for command in COMMANDS}


def run(*argv, **keywords):
    done = subprocess.run(argv, capture_output=True, text=True, timeout=PATIENCE_SECONDS, **keywords)
    assert done.returncode == 0 and done.stderr == "", done
    return done.stdout


def bash(line):
    """What bash puts in place of what stands behind the last of its breaks."""
    script = f"""source {GENERATED}/restfs.bash
        COMP_LINE={shlex.quote(line)} COMP_POINT=${{#COMP_LINE}}
        _restfs {RESTFS}
        printf '%s\\n' "${{COMPREPLY[@]}}" """
    return [line for line in run("bash", "--norc", "-c", script).splitlines() if line]


def fish(line):
    script = f"source {GENERATED}/restfs.fish; complete -C {shlex.quote(line)}"
    return [line.split("\t")[0] for line in run("fish", "--no-config", "-c", script, env={**os.environ, "PATH": f"{BUILD}:/usr/bin:/bin", "HOME": "/nonexistent"}).splitlines()]


SHELLS = pytest.mark.parametrize("shell", [bash, fish])


@SHELLS
def test_words_of_commands(shell):
    assert set(shell("restfs ")) >= TOPICS
    assert shell("restfs salv") == ["salvage"]
    assert sorted(shell("restfs quota ")) == ["ls", "set"]
    assert shell("restfs --json quota s") == ["set"]


@SHELLS
def test_options_of_a_command_and_of_all(shell):
    assert [word.rstrip("=") for word in shell("restfs key add anna --re")] == ["--read-only"]
    assert "--owner" in [word.rstrip("=") for word in shell("restfs bucket add --")]
    assert "--owner" not in [word.rstrip("=") for word in shell("restfs bucket ls --")]
    assert "--json" in shell("restfs bucket ls --j")


@SHELLS
def test_values_of_options(shell, tmp_path):
    (tmp_path / "some").mkdir()
    (tmp_path / "file").touch()

    def values(line):
        return {word.rpartition("=")[2] for word in shell(line)}

    assert values("restfs bucket set photos --compress=") == {"on", "off"}
    assert values("restfs bucket set photos --compress=of") == {"off"}
    assert {word.rstrip("/") for word in values(f"restfs --data={tmp_path}/")} == {f"{tmp_path}/some"}
    assert {word.rstrip("/") for word in shell(f"restfs fsck {tmp_path}/")} == {f"{tmp_path}/some"}


@SHELLS
def test_names_in_the_store(own_daemon, shell):
    s3 = own_daemon.client()
    for name in ("photos", "phones", "music"):
        s3.create_bucket(Bucket=name)
    assert sorted(shell(f"restfs --data={own_daemon.data} verify ph")) == ["phones", "photos"]
    assert shell(f"restfs --data={own_daemon.data} user rm ro") == ["root"]
    assert shell(f"restfs --data={own_daemon.data}/not-there verify ph") == []
    if shell is bash:
        assert shell(f"restfs --data={own_daemon.data} key add anna --bucket=mu") == ["music"]
        assert shell(f"restfs --data={own_daemon.data} user add ro") == []


@SHELLS
def test_paths_in_a_store(daemon, s3, bucket, shell, monkeypatch):
    for name, value in (("AWS_ENDPOINT_URL", daemon.s3), ("AWS_ACCESS_KEY_ID", daemon.access_key), ("AWS_SECRET_ACCESS_KEY", daemon.secret_key)):
        monkeypatch.setenv(name, value)
    for key in ("2025/a", "2026/b", "2026/c d", "notes"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"")
    # What bash replaces begins behind the colon.
    begin = "//" if shell is bash else "s3://"
    assert shell(f"restfs ls s3://{bucket[:-1]}").count(f"{begin}{bucket}/") == 1
    assert shell(f"restfs rm -r s3://{bucket}/20") == [f"{begin}{bucket}/2025/", f"{begin}{bucket}/2026/"]
    assert shell(f"restfs du notes s3://{bucket}/2026/") == [f"{begin}{bucket}/2026/b", f"{begin}{bucket}/2026/c d"]
    assert shell(f"restfs ls s3://{bucket}/none") == []


def zsh(line):
    """The completer's own words: its calls of what offers them, on a line whose cursor is at its end."""
    script = f"""autoload -U +X compinit && compinit -D -u
        _describe() {{ print -rl -- ${{(P)argv[2]}} }}
        _arguments() {{ print -rl -- "$@" }}
        words=({line}) CURRENT=${{#words}} PREFIX=${{words[-1]}}
        source {GENERATED}/_restfs"""
    return run("zsh", "-f", "-c", script).splitlines()


def test_zsh_offers_the_same():
    run("zsh", "-n", str(GENERATED / "_restfs"))
    assert {word.split(":")[0] for word in zsh("restfs ''")} == TOPICS
    assert {word.split(":")[0] for word in zsh("restfs quota ''")} == {"set", "ls"}
    offered = zsh("restfs --json bucket set photos ''")
    assert "--compress=[Compress what is written from now on]:value:(on off)" in offered and "BUCKET:BUCKET:_restfs_names bucket" not in offered
    assert ":BUCKET:_restfs_names bucket" in "\n".join(offered) and any(word.startswith("--json") for word in offered)


@pytest.mark.parametrize("page", ["restfs.1", "restfsd.8", "restfs.conf.5", *sorted(f"restfs-{topic}.1" for topic in TOPICS)])
def test_manual_pages_are_clean(page):
    run("groff", "-ww", "-b", "-z", "-man", "-Tutf8", str(GENERATED / page))


def manual(page):
    text = run("groff", "-man", "-Tascii", "-P-c", "-rLL=1000n", str(GENERATED / page))
    return re.sub(r".\x08", "", text)


def test_manual_pages_say_what_help_says():
    shown = manual("restfs.1")
    for command in COMMANDS:
        assert re.search(rf"^ +{command}\b", shown, re.M), command
    assert "in all buckets?\n" in manual("restfs-ls.1")
    assert "EXIT STATUS" in shown and "AWS_ENDPOINT_URL" in shown
    assert "restfs bucket set BUCKET [--owner=NAME]" in manual("restfs-bucket.1")
    daemon = manual("restfsd.8")
    assert "--data DIR" in daemon and "RESTFS_ROOT_ACCESS_KEY" in daemon
    config = manual("restfs.conf.5")
    for path in re.findall(r'^OPTION_\w+\(\w+, "([^"]+)"', (ROOT / "src" / "base" / "options.def").read_text(), re.M):
        assert f" {path} = " in config, path
