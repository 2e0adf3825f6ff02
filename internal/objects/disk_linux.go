package objects

import (
	"errors"
	"math"
	"os"

	"golang.org/x/sys/unix"
)

// spread tells ext4 to put each folder made in dir somewhere else on the disk (its name decides), and with it the files
// made there. Otherwise they go where those before them were, and for some minutes after many of
// those were deleted, ext4 looks through all of them to make one new file (a whole millisecond after
// some thousands). It is a hint; other filesystems need none.
func spread(dir *os.File) {
	const topOfHierarchy = 0x00020000 // FS_TOPDIR_FL
	flags, err := unix.IoctlGetUint32(int(dir.Fd()), unix.FS_IOC_GETFLAGS)
	if err == nil {
		_ = unix.IoctlSetPointerInt(int(dir.Fd()), unix.FS_IOC_SETFLAGS, int(flags|topOfHierarchy))
	}
}

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

// freeSpace is how many bytes are left on the file's disk. Some filesystems do not know.
func freeSpace(f *os.File) (free int64, known bool) {
	var disk unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &disk); err != nil || disk.Blocks == 0 || disk.Bsize <= 0 {
		return 0, false
	}
	if blocks := disk.Bavail; blocks < uint64(math.MaxInt64/disk.Bsize) {
		return int64(blocks) * disk.Bsize, true
	}
	return math.MaxInt64, true
}
