"""Small disks, and full ones: fixtures for conftest, and what fills them."""
import ctypes
import os
import subprocess

import pytest

CLONE_NEWNS = 0x20000


@pytest.fixture(scope="session")
def mounts():
    """Mounts that go with this process, however it ends."""
    libc = ctypes.CDLL(None, use_errno=True)
    if os.geteuid() != 0 or libc.unshare(CLONE_NEWNS) != 0 or subprocess.run(["mount", "--make-rprivate", "/"]).returncode != 0:
        pytest.skip("file systems cannot be mounted here")


@pytest.fixture
def disk(mounts, tmp_path):
    """A directory that is a file system of so many MiB."""
    made = []

    def make(directory, mib):
        directory.mkdir(exist_ok=True)
        if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={mib}m", "tmpfs", directory]).returncode != 0:
            pytest.skip("a tmpfs cannot be mounted here")
        made.append(directory)
        return directory

    make.path = tmp_path
    yield make
    for directory in reversed(made):
        subprocess.run(["umount", "-l", directory], check=True)


def free_bytes(path):
    disk = os.statvfs(path)
    return disk.f_bavail * disk.f_frsize


def eat(path, left=0):
    """Somebody else takes all that is free, but for so much; the file that holds it."""
    with open(path, "wb", buffering=0) as file:
        try:
            while free_bytes(path) > left:
                file.write(b"\0" * 65536)
        except OSError:
            pass
    return path
