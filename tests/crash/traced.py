"""A daemon whose disk is traced (io_trace.c), and the clock by which clients note when they asked and when they were told: how far the trace has come."""
import os

from daemon import BUILD, Daemon

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

    def position(self):
        return os.stat(self.trace_path).st_size
