package objects

import (
	"crypto/sha256"
	"errors"
	"hash"
	"io"

	"lodge/internal/fault"
)

// Verify passes r on and compares it with the SHA-256 (lower-case hex) on the way. The last byte is
// held back until the sums agree; when they do not, the last read fails with a fault.Internal, so that a
// client sees a transfer that broke off instead of a damaged file. It is for whole objects, not for
// ranges. With an empty sum there is nothing to compare, and r comes back as it is.
//
// io.Copy from it uses large buffers and hashes beside the writing.
func Verify(r io.ReadCloser, sum string) io.ReadCloser {
	if sum == "" {
		return r
	}
	return &verifier{Closer: r, r: r, want: sum, hash: sha256.New()}
}

type verifier struct {
	io.Closer
	r    io.Reader
	want string
	hash hash.Hash
	// held is the byte that was read last and not yet passed on.
	held    byte
	holding bool
	err     error // how r ended; io.EOF when the sums agreed
}

// Read passes on what it reads, one byte behind.
func (v *verifier) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if v.err != nil {
		return v.last(p)
	}
	n, err := v.r.Read(p)
	v.hash.Write(p[:n])
	if err != nil {
		v.err = v.verdict(err, hexSum(v.hash))
	}
	if n == 0 {
		return 0, nil
	}
	newest := p[n-1]
	if v.holding {
		copy(p[1:n], p[:n-1])
		p[0] = v.held
	} else {
		n--
	}
	v.held, v.holding = newest, true
	return n, nil
}

// last hands out the held byte if all went well, and the end.
func (v *verifier) last(p []byte) (int, error) {
	if !v.holding || !errors.Is(v.err, io.EOF) {
		return 0, v.err
	}
	p[0], v.holding = v.held, false
	return 1, nil
}

// WriteTo makes io.Copy quick.
func (v *verifier) WriteTo(w io.Writer) (written int64, err error) {
	if v.holding || v.err != nil {
		return io.Copy(w, struct{ io.Reader }{v}) // Read has begun
	}
	write := func(chunk []byte) error {
		n, err := w.Write(chunk)
		written += int64(n)
		return err
	}
	err = pump(v.r, smallBuffers, write, func(chunk []byte, sum string) error {
		if err := v.verdict(io.EOF, sum); !errors.Is(err, io.EOF) {
			return err
		}
		return write(chunk)
	})
	if v.err = err; err == nil {
		v.err = io.EOF
	}
	return written, err
}

// verdict is how reading ends: as r did, or because the sums differ.
func (v *verifier) verdict(end error, sum string) error {
	if errors.Is(end, io.EOF) && sum != v.want {
		return fault.New(fault.Internal, "the object is damaged: it was stored with the SHA-256 %s and reads as %s", v.want, sum)
	}
	return end
}
