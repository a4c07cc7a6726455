"""Fixtures for pytest, there as soon as the package is installed."""
import secrets

import pytest

from . import Restfs


@pytest.fixture(scope="session")
def restfs():
    """A store for all tests of this run."""
    with Restfs() as store:
        yield store


@pytest.fixture
def restfs_client(restfs):
    """A boto3 client of it; where boto3 is missing, the test is skipped."""
    pytest.importorskip("boto3")
    return restfs.client()


@pytest.fixture
def restfs_bucket(restfs_client):
    """The name of a bucket that only this test has."""
    name = "test-" + secrets.token_hex(8)
    restfs_client.create_bucket(Bucket=name)
    return name
