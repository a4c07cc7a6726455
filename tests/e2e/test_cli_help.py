"""--help of the command line, which comes from one table."""
import re
import subprocess

import pytest

from daemon import BUILD, PATIENCE_SECONDS, ROOT

RESTFS = BUILD + "/restfs"
TABLE = (ROOT / "clients" / "cli" / "commands.def").read_text()
COMMANDS = re.findall(r'^(?:LOCAL_)?COMMAND\("([^"]+)"', TABLE, re.M)


def restfs(*arguments, status=0):
    done = subprocess.run([RESTFS, *arguments], capture_output=True, text=True, timeout=PATIENCE_SECONDS)
    assert done.returncode == status, done
    return done.stdout if status == 0 else done.stderr


def test_the_overview_has_every_command_in_a_line_under_its_groups_title():
    shown = restfs("--help")
    lines = [re.match(r"  (\w+(?: \w+)?)  +\S", line) for line in shown.splitlines()]
    assert [line[1] for line in lines if line] == COMMANDS
    assert shown.index("Administration of a store that runs:") < shown.index("  user add ") < shown.index("disks, while") < shown.index("  fsck ")
    assert all(len(line) <= 100 for line in shown.splitlines())
    assert "--json" in shown and "Exit codes" in shown


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_of_its_own(command):
    shown = restfs(*command.split(), "--help")
    assert shown.startswith(f"usage:\n  restfs {command}") and "\033" not in shown
    assert restfs("--help", *command.split()) == shown
    # An option without an explanation is a gap in the table.
    for line in [line for line in shown.splitlines() if re.fullmatch(r"  (-\w, )?--\S+ *", line)]:
        assert re.search(re.escape(line) + r"\n {10,}\S", shown), f"{line}: not explained"


def test_a_words_help_shows_how_each_of_its_commands_is_used():
    shown = restfs("quota", "--help")
    assert "restfs quota set BUCKET [--user=USER]" in shown and "restfs quota ls BUCKET" in shown and "bucket" not in shown.split("quota ls")[0].split("\n")[0]


def test_slips_get_a_suggestion():
    assert 'did you mean "user ls"?' in restfs("user", "lst", status=2)
    assert 'did you mean "salvage"?' in restfs("salvge", "x", status=2)
    assert "did you mean --read-only?" in restfs("key", "add", "x", "--readonly", status=2)
    # What other clients call it.
    assert 'did you mean "cp"?' in restfs("put", "file", "s3://photos", status=2)
    assert "no option --endpoint-url; did you mean --endpoint?" in restfs("ls", "--endpoint-url=http://127.0.0.1:1", status=2)
    assert "did you mean --limit-rate?" in restfs("cp", "--bwlimit", "1M", "a", "s3://b", status=2)
    assert "did you mean" not in restfs("ls", "--bwlimit=1M", status=2)
    assert 'did you mean "--help"?' in restfs("help", "ls", status=2)
    # Those of every command, behind one and before.
    assert restfs("ls", "--jsn", status=2) == 'restfs: "ls" has no option --jsn; did you mean --json? See restfs ls --help\n'
    assert restfs("--endpont=http://127.0.0.1:1", "ls", status=2) == "restfs: there is no option --endpont before a command; did you mean --endpoint? See restfs --help\n"
    assert "did you mean" not in restfs("ls", "-x", status=2) + restfs("-x", status=2) + restfs("ls", "--" + "x" * 500, status=2)
