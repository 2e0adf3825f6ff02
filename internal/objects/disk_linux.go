package objects

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// syncData flushes a file's bytes and its size, and waits.
func syncData(f *os.File) error {
	for {
		if err := unix.Fdatasync(int(f.Fd())); !errors.Is(err, unix.EINTR) {
			return os.NewSyscallError("fdatasync", err)
		}
	}
}

// startWriting hands a piece of a file to the disk without waiting. It is a hint: what goes wrong
// shows in syncData.
func startWriting(f *os.File, offset, length int64) {
	_ = unix.SyncFileRange(int(f.Fd()), offset, length, unix.SYNC_FILE_RANGE_WRITE)
}

// setDirect makes writes go from our buffer to the disk, past the page cache. Disks want
// such buffers, offsets and sizes aligned to 4 KiB at most; Go places large buffers so.
func setDirect(f *os.File, on bool) error {
	flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFL, 0)
	if err != nil {
		return err
	}
	if on {
		flags |= unix.O_DIRECT
	} else {
		flags &^= unix.O_DIRECT
	}
	_, err = unix.FcntlInt(f.Fd(), unix.F_SETFL, flags)
	return err
}
