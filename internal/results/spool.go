package results

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"lodge/internal/fault"
)

// spoolMemory is how much of a body is kept in memory before it goes to a temporary file.
const spoolMemory = 1 << 20

// spool keeps a body until all of it is known to be good. What does not fit in memory waits in a
// temporary file that has no name any more, so that it is gone when the process is, and that is
// encrypted with a key that only this process has, so that no disk ever holds it readable.
type spool struct {
	dir    string
	memory []byte
	file   *os.File
	block  cipher.Block
	stream cipher.Stream
	work   []byte
	size   int64
}

// newSpool makes an empty spool whose temporary file, if it needs one, is made in dir.
func newSpool(dir string) *spool { return &spool{dir: dir} }

// fill reads all of src into the spool.
func (s *spool) fill(src io.Reader) error {
	buf := make([]byte, gcmChunk)
	for {
		n, err := io.ReadFull(src, buf)
		if writeErr := s.write(buf[:n]); writeErr != nil {
			return writeErr
		}
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (s *spool) write(p []byte) error {
	if s.file == nil && s.size+int64(len(p)) <= spoolMemory {
		s.memory = append(s.memory, p...)
		s.size += int64(len(p))
		return nil
	}
	if s.file == nil {
		if err := s.openFile(); err != nil {
			return spoolError(err)
		}
	}
	s.stream.XORKeyStream(s.work[:len(p)], p)
	if _, err := s.file.Write(s.work[:len(p)]); err != nil {
		return spoolError(err)
	}
	s.size += int64(len(p))
	return nil
}

// openFile moves on from memory to a file; what is in memory stays there and is read first.
func (s *spool) openFile() error {
	var key [32]byte
	if _, err := rand.Read(key[:]); err != nil {
		return err
	}
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return err
	}
	file, err := os.CreateTemp(s.dir, "spool-*")
	if err != nil {
		return err
	}
	if err := os.Remove(file.Name()); err != nil {
		return errors.Join(err, file.Close())
	}
	s.file, s.block, s.work = file, block, make([]byte, gcmChunk)
	s.stream = s.newStream()
	return nil
}

// newStream is the key stream from its beginning. The key is used for one file only, so the counter
// may begin at zero.
func (s *spool) newStream() cipher.Stream {
	return cipher.NewCTR(s.block, make([]byte, aes.BlockSize)) //nolint:gosec // see above: the key is the nonce
}

// reader reads the whole body from its beginning. It can be called again; the readers are not to be
// used at the same time as fill.
func (s *spool) reader() io.Reader {
	if s.file == nil {
		return bytes.NewReader(s.memory)
	}
	inFile := io.NewSectionReader(s.file, 0, s.size-int64(len(s.memory)))
	return io.MultiReader(bytes.NewReader(s.memory), cipher.StreamReader{S: s.newStream(), R: inFile})
}

// Close gives the space back. Closing twice is no error.
func (s *spool) Close() error {
	s.memory = nil
	if s.file == nil {
		return nil
	}
	err := s.file.Close()
	if errors.Is(err, os.ErrClosed) {
		return nil
	}
	return err
}

func spoolError(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fault.Wrap(err, fault.Full, "No space left to hold the file")
	}
	return fmt.Errorf("temporary file: %w", err)
}
