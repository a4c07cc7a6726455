"""Each alert of packaging/monitoring fires when it should, after the time that it should wait for, and not when it should not."""
import json
import re
import shutil
import subprocess

import pytest

from test_monitoring import FILES, alerts

RULES = FILES / "restfs-alerts.yml"
STORE = {"job": "restfs", "instance": "store:9001"}
NAME, SEVERITY = "store:9001", {"RestfsDown": "critical", "RestfsPoisoned": "critical", "RestfsDiskFull": "critical", "RestfsMissingVolumes": "critical", "RestfsDamagedObjects": "critical", "RestfsIndexDamaged": "critical",
                                "RestfsGarbage": "info"}
STEPS = 400  # of an interval, that series have
MINUTE, HOUR = "1m", "1h"  # between two values, and two looks at the rules


def steady(value):
    return f"{value}+0x{STEPS}"


def growing(step, start=0):
    return f"{start}+{step}x{STEPS}"


def falling(step, start):
    return f"{start}-{step}x{STEPS}"


def histogram(name, labels, fast, slow):
    """So many more each step that took at most 10 ms, and that took longer than 2.5 s, but no more than 5 s."""
    counts = {"0.01": fast, "2.5": fast, "5": fast + slow, "+Inf": fast + slow}
    return {f'{name}_bucket{{{labels}le="{le}"}}': growing(count) for le, count in counts.items()}


def errors(requests, failed):
    return {"restfs_s3_requests_total": growing(requests), 'restfs_s3_errors_total{class="5xx"}': growing(failed),
            'restfs_s3_errors_total{class="4xx"}': growing(requests - failed)}


def disk(free):
    return {"restfs_store_free_bytes": free, "restfs_store_disk_bytes": steady(1000e9)}


def garbage(of_journal, of_bulk, live):
    return {'restfs_store_garbage_bytes{kind="journal"}': steady(of_journal), 'restfs_store_garbage_bytes{kind="bulk"}': steady(of_bulk),
            'restfs_store_live_bytes{kind="journal"}': steady(live), 'restfs_store_live_bytes{kind="bulk"}': steady(live)}


def scrub(read, rounds):
    return {"restfs_scrub_bytes_total": read, "restfs_scrub_rounds_total": rounds}


def head(fast, slow, operation="HeadObject"):
    return histogram("restfs_s3_request_seconds", f'operation="{operation}",', fast, slow)


def sync(fast, slow):
    return histogram("restfs_journal_sync_seconds", "", fast, slow)


# Alert, interval, series; when it does not fire yet, when it does, with which text. Of an alert that only looks at sums, no job is left.
FIRING = [
    ("RestfsDown", MINUTE, {"up": "1 1 " + steady(0)}, "2m", "3m", f"restfs on {NAME} does not answer"),
    ("RestfsPoisoned", MINUTE, {"restfs_store_poisoned": "0 " + steady(1)}, "0m", "1m", f"a sync failed on {NAME}: nothing is written until a restart"),
    ("RestfsDiskFull", MINUTE, {"restfs_store_full": "0 " + steady(1)}, "0m", "1m", f"the disk of {NAME} is full: writes are refused"),
    ("RestfsMissingVolumes", MINUTE, {"restfs_store_missing_volumes": "0 " + steady(2)}, "0m", "1m", f"2 volumes of {NAME} are not there, or cannot be read"),
    ("RestfsIndexDamaged", MINUTE, {"restfs_index_damaged": "0 " + steady(1)}, "0m", "1m", f"the index of {NAME} is damaged: some requests fail until a restart"),
    ("RestfsDamagedObjects", MINUTE, {"restfs_damaged_objects": "0 " + steady(3)}, "0m", "1m", f"3 objects on {NAME} are damaged"),
    ("RestfsScrubStandsStill", HOUR, scrub(steady(1e9), steady(1)), "240h", "242h", f"the scrub of {NAME} has read nothing for more than ten days"),
    ("RestfsDiskNearlyFull", MINUTE, disk(steady(50e9)), "9m", "10m", f"5% of the disk of {NAME} is free"),
    ("RestfsDiskFullWithinADay", MINUTE, disk(falling(0.1e9, 140e9)), "1h", "2h", f"the disk of {NAME} is full within a day, if it goes on like this"),
    ("RestfsFails", MINUTE, errors(6000, 120), "5m", "7m", f"{NAME} fails 2 requests a second"),
    ("RestfsSlowDisk", MINUTE, sync(80, 20), "10m", "12m", f"one sync in a hundred on {NAME} takes 4.875s"),
    ("RestfsSlow", MINUTE, head(80, 20), "10m", "12m", f"one request in a hundred on {NAME} takes 4.875s, without a body to carry"),
    ("RestfsWorkersBusy", MINUTE, {"restfs_workers_waiting": "0 " + steady(65)}, "5m", "6m", f"65 requests on {NAME} wait for a free worker"),
    ("RestfsRefuses", MINUTE, {"restfs_http_refused_total": growing(120)}, "10m", "15m", f"{NAME} refuses 2 connections or requests a second"),
    ("RestfsFilesRunOut", MINUTE, {"process_open_fds": steady(950), "process_max_fds": steady(1000)}, "4m", "5m",
     f"{NAME} has 95% of the files open that it may have"),
    ("RestfsGarbage", HOUR, garbage(20e9, 60e9, 20e9), "23h", "24h", f"74.51GiB on {NAME} are garbage"),
    ("RestfsRestarts", MINUTE, {"process_start_time_seconds": "100 200 300 " + steady(400)}, "2m", "3m", f"{NAME} was started 3 times within a quarter of an hour"),
]

# Alert, interval, series with which it does not fire, when.
QUIET = [
    ("RestfsDown", MINUTE, {"up": steady(1)}, "1h"),
    ("RestfsDown", MINUTE, {"up": "1 0 " + steady(1)}, "2m"),
    ("RestfsPoisoned", MINUTE, {"restfs_store_poisoned": steady(0)}, "1h"),
    ("RestfsDiskFull", MINUTE, {"restfs_store_full": "1 1 " + steady(0)}, "1h"),
    ("RestfsMissingVolumes", MINUTE, {"restfs_store_missing_volumes": steady(0)}, "1h"),
    ("RestfsIndexDamaged", MINUTE, {"restfs_index_damaged": steady(0)}, "1h"),
    ("RestfsDamagedObjects", MINUTE, {"restfs_damaged_objects": "1 " + steady(0)}, "1h"),
    # A round each week, of minutes; one of more than ten days; of a store with nothing in it; with a restart between, after which all begins at 0.
    ("RestfsScrubStandsStill", HOUR, scrub(f"1+0x167 2+0x167 3+0x{STEPS}", f"1+0x167 2+0x167 3+0x{STEPS}"), "400h"),
    ("RestfsScrubStandsStill", HOUR, scrub(growing(3600 * 16777216), steady(0)), "400h"),
    ("RestfsScrubStandsStill", HOUR, scrub(steady(0), f"1+0x167 2+0x167 3+0x{STEPS}"), "400h"),
    ("RestfsScrubStandsStill", HOUR, scrub(f"9+0x160 0 9+0x167 18+0x{STEPS}", f"1+0x160 0 1+0x167 2+0x{STEPS}"), "400h"),
    ("RestfsDiskNearlyFull", MINUTE, disk(steady(110e9)), "1h"),
    ("RestfsDiskFullWithinADay", MINUTE, disk(steady(140e9)), "2h"),
    ("RestfsDiskFullWithinADay", MINUTE, disk(falling(1e9, 900e9)), "2h"),  # as fast, but with much left
    ("RestfsFails", MINUTE, errors(6000, 50), "1h"),
    ("RestfsFails", MINUTE, errors(0, 0), "1h"),
    ("RestfsSlowDisk", MINUTE, sync(1000, 1), "1h"),
    ("RestfsSlow", MINUTE, head(1000, 1), "1h"),
    ("RestfsSlow", MINUTE, head(80, 20, "PutObject"), "1h"),  # whose body may come slowly
    ("RestfsWorkersBusy", MINUTE, {"restfs_workers_waiting": " ".join(["900", "900", "900", "0"] * 16)}, "1h"),
    ("RestfsRefuses", MINUTE, {"restfs_http_refused_total": growing(30)}, "1h"),
    ("RestfsFilesRunOut", MINUTE, {"process_open_fds": steady(800), "process_max_fds": steady(1000)}, "1h"),
    ("RestfsGarbage", HOUR, garbage(20e9, 20e9, 20e9), "48h"),
    ("RestfsGarbage", HOUR, garbage(5e9, 4e9, 1e9), "48h"),  # little
    ("RestfsRestarts", MINUTE, {"process_start_time_seconds": "100 200 " + steady(300)}, "1h"),
]


def named(series, values):
    """With the labels that Prometheus adds."""
    name, _, labels = series.partition("{")
    added = ",".join(f'{label}="{value}"' for label, value in STORE.items())
    return {"series": f"{name}{{{labels.rstrip('}') + ',' if labels else ''}{added}}}", "values": values}


def judged(alert, interval, series, *expected):
    """A test of promtool: at each time nothing, or the alert with its text."""
    kept = STORE if alert not in ("RestfsGarbage", "RestfsSlow") else {"instance": NAME}
    labels = dict(kept, severity=SEVERITY.get(alert, "warning"))
    return {"interval": interval, "input_series": [named(*one) for one in series.items()],
            "alert_rule_test": [{"eval_time": time, "alertname": alert,
                                 "exp_alerts": [{"exp_labels": labels, "exp_annotations": {"summary": text}}] if text else []} for time, text in expected]}


def test_every_alert_has_a_case_that_fires_and_one_that_does_not():
    names = [name for name, _ in alerts()]
    assert [case[0] for case in FIRING] == names
    assert list(dict.fromkeys(case[0] for case in QUIET)) == names
    every = re.findall(r"^ +severity: (\w+)$", RULES.read_text(), re.MULTILINE)
    assert every == [SEVERITY.get(name, "warning") for name in names]


@pytest.mark.skipif(not shutil.which("promtool"), reason="Debian's package prometheus has it")
def test_alerts_fire_when_they_should_and_only_then(tmp_path):
    tests = [judged(alert, interval, series, (before, None), (when, text)) for alert, interval, series, before, when, text in FIRING]
    tests += [judged(alert, interval, series, (when, None)) for alert, interval, series, when in QUIET]
    files = []
    for interval in (MINUTE, HOUR):
        cases = {"rule_files": [str(RULES)], "evaluation_interval": interval, "tests": [test for test in tests if test["interval"] == interval]}
        files.append(tmp_path / f"{interval}.yml")
        files[-1].write_text(json.dumps(cases))  # JSON is YAML
    done = subprocess.run(["promtool", "test", "rules", *files], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, done.stdout
