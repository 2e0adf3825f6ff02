//go:build unix && !linux

package objects

import (
	"errors"
	"os"
)

func spread(*os.File) {}

func syncData(f *os.File) error { return f.Sync() }

func startWriting(*os.File, int64, int64) {}

func setDirect(*os.File, bool) error { return errors.ErrUnsupported }

func freeSpace(*os.File) (int64, bool) { return 0, false }
