# SPDX-License-Identifier: Apache-2.0
"""An ext4 file system on a disk of our own: a loop device over a file. It can be made to fail, and its state at one moment copied."""
import contextlib
import fcntl
import shutil
import struct
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

LOOP_SET_STATUS64, LOOP_GET_STATUS64 = 0x4C04, 0x4C05
LOOP_INFO64_BYTES, SIZELIMIT_AT = 232, 32
TORN_S = 0.05


def run(*command):
    return subprocess.run([str(c) for c in command], check=True, capture_output=True, text=True).stdout.strip()


class LoopDisk:
    def __init__(self, image, path):
        self.image, self.path, self.device = image, path, None

    def mount(self):
        """The file system's own recovery runs here. No commit every five seconds: what is not synced stays in memory."""
        self.device = run("losetup", "--find", "--show", self.image)
        try:
            run("mount", "-o", "commit=300", self.device, self.path)
        except subprocess.CalledProcessError:
            run("losetup", "--detach", self.device)
            raise

    def umount(self):
        run("umount", self.path)
        run("losetup", "--detach", self.device)

    def fail(self):
        """From now on every access to the disk ends with EIO: it has shrunk to one page."""
        self._limit(4096)

    def heal(self):
        """The disk is back, and mounted anew, because ext4 may have gone read-only. The broker is down."""
        self._limit(0)
        self.umount()
        self.mount()

    def _limit(self, size):
        with open(self.device, "rb") as device:
            info = bytearray(LOOP_INFO64_BYTES)
            fcntl.ioctl(device, LOOP_GET_STATUS64, info)
            info[SIZELIMIT_AT:SIZELIMIT_AT + 8] = struct.pack("Q", size)
            fcntl.ioctl(device, LOOP_SET_STATUS64, info)

    def _writes(self):
        return Path(f"/sys/block/{Path(self.device).name}/stat").read_text().split()[4:7] \
            + Path(f"/sys/block/{Path(self.device).name}/inflight").read_text().split()

    def copy(self, to):
        """The disk as it is at this moment; whoever writes to the file system is stopped. Copied again if the kernel wrote meanwhile."""
        for _ in range(100):
            before = self._writes()
            shutil.copyfile(self.image, to)
            if self._writes() == before and before[-1] == "0":
                return
            time.sleep(TORN_S)
        raise AssertionError("the disk does not come to rest")


@contextlib.contextmanager
def loop_disk(folder, megabytes):
    """Mounted below the folder; skips the test, visibly, where that is not allowed."""
    scratch = Path(tempfile.mkdtemp(prefix="fanout-disk-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
    disk = LoopDisk(scratch / "image", Path(folder) / "disk")
    disk.path.mkdir()
    try:
        try:
            run("truncate", "-s", f"{megabytes}M", disk.image)
            run("mkfs.ext4", "-q", "-b", "4096", "-E", "lazy_itable_init=0,lazy_journal_init=0", disk.image)
            disk.mount()
        except (OSError, subprocess.CalledProcessError) as error:
            raise unittest.SkipTest(f"no file system can be mounted here: {error} {getattr(error, 'stderr', '')}") from None
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", str(disk.path)], check=False, capture_output=True)
        if disk.device:
            subprocess.run(["losetup", "--detach", disk.device], check=False, capture_output=True)      # takes effect once it is idle
        shutil.rmtree(scratch, ignore_errors=True)
