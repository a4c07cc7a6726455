"""A daemon whose disk is traced (io_trace.c), and the clock by which clients note when they asked and when they were told: how far the trace has come."""
import os

from daemon import BUILD, Daemon
from power_cut import Disk, Trace

LIBRARY = os.path.join(BUILD, "tests", "crash", "io_trace.so")


class TracedDaemon(Daemon):
    def __init__(self, *options):
        super().__init__(*options)
        self.root = os.path.join(self.directory, "disk")
        self.trace_path = os.path.join(self.directory, "trace")
        self.data = os.path.join(self.root, "data")
        self.environment = {"LD_PRELOAD": LIBRARY, "RESTFS_TRACE_ROOT": self.root, "RESTFS_TRACE": self.trace_path,
                            "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"}
        os.mkdir(self.root)
        self.begin_trace()

    def begin_trace(self):
        with open(self.trace_path, "wb"):
            pass
        self.began = Disk(self.root)

    def start(self, *options):
        self.complete_trace()
        return super().start(*options)

    def complete_trace(self):
        """What a process did last before it was killed may have happened without having been written down; the next one builds on it."""
        if os.path.getsize(self.trace_path) == 0:
            return
        trace = Trace(self.trace_path)
        missing = self.began.after(trace.records).differences()
        with open(self.trace_path, "r+b") as f:
            f.truncate(trace.ends[-1] if trace.ends else 0)
            f.seek(0, os.SEEK_END)
            f.write(missing)

    def position(self):
        return os.stat(self.trace_path).st_size
