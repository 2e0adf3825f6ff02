package objects

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"sync"
)

const (
	// smallSize holds the common object whole.
	smallSize = 256 << 10
	// largeSize is what disks like to be given at once.
	largeSize = 1 << 20
	// ringSize is one chunk being read, one held back, one being hashed, one being written.
	ringSize = 4
)

// pool keeps buffers of one size. It holds nothing that anyone could depend on.
type pool struct {
	size int
	free sync.Pool
}

var (
	smallBuffers = &pool{size: smallSize}
	largeBuffers = &pool{size: largeSize}
)

func (p *pool) get() []byte {
	if b, ok := p.free.Get().(*[]byte); ok {
		return *b
	}
	return make([]byte, p.size)
}

func (p *pool) put(b []byte) { p.free.Put(&b) }

// pump reads r to its end and hashes it. It writes all but the last chunk, which may be empty only
// if r is; that one goes to last, with the sum of everything. Reading, hashing and writing of a long
// body happen side by side, in that order for each chunk, with a fixed number of buffers. A
// body that fits the first buffer is hashed in place. An error of r or write is returned as it is.
func pump(r io.Reader, ring *pool, write func([]byte) error, last func(chunk []byte, sum string) error) error {
	first := smallBuffers.get()
	defer smallBuffers.put(first)
	n, end := Fill(r, first)
	chunk, sum := first[:n], sha256.New()
	if end == nil {
		p := startPipe(ring, sum, write)
		defer p.release()
		chunk, end = p.feed(r, chunk)
		if err := p.stop(); err != nil {
			return err
		}
	}
	if !errors.Is(end, io.EOF) {
		return end
	}
	sum.Write(chunk)
	return last(chunk, hexSum(sum))
}

// pipe hashes and writes chunks in two goroutines.
type pipe struct {
	ring    *pool
	made    [][]byte
	free    chan []byte
	hashing chan []byte
	writing chan []byte
	done    chan struct{}
	failed  chan struct{} // closed when err is set
	err     error
}

func startPipe(ring *pool, sum hash.Hash, write func([]byte) error) *pipe {
	p := &pipe{
		ring: ring,
		// Never full: there are no more buffers than the ring's and the first.
		free: make(chan []byte, ringSize+1), hashing: make(chan []byte, ringSize+1), writing: make(chan []byte, ringSize+1),
		done: make(chan struct{}), failed: make(chan struct{}),
	}
	go func() {
		defer close(p.writing)
		for chunk := range p.hashing {
			sum.Write(chunk)
			p.writing <- chunk
		}
	}()
	go func() {
		defer close(p.done)
		for chunk := range p.writing {
			p.write(chunk, write)
		}
	}()
	return p
}

func (p *pipe) write(chunk []byte, write func([]byte) error) {
	if p.err == nil {
		if p.err = write(chunk); p.err != nil {
			close(p.failed)
		}
	}
	if len(chunk) == p.ring.size {
		p.free <- chunk
	}
}

// feed passes chunks from r on until its end, and returns the last with r's error.
func (p *pipe) feed(r io.Reader, chunk []byte) ([]byte, error) {
	for {
		next := p.take()
		n, end := Fill(r, next)
		if end != nil && (n == 0 || !errors.Is(end, io.EOF)) {
			return chunk, end
		}
		select {
		case <-p.failed:
			return nil, nil // stop tells why
		default:
		}
		p.hashing <- chunk
		if chunk = next[:n]; end != nil {
			return chunk, end
		}
	}
}

func (p *pipe) take() []byte {
	if len(p.made) < ringSize {
		b := p.ring.get()
		p.made = append(p.made, b)
		return b
	}
	return <-p.free
}

// stop waits until all that was fed is hashed and written.
func (p *pipe) stop() error {
	close(p.hashing)
	<-p.done
	return p.err
}

func (p *pipe) release() {
	for _, b := range p.made {
		p.ring.put(b)
	}
}

func hexSum(h hash.Hash) string { return hex.EncodeToString(h.Sum(nil)) }

// Fill is for drivers. It reads until p is full or r ends. Unlike io.ReadFull it returns r's own error: io.EOF means
// that r came to its proper end, and io.ErrUnexpectedEOF that whatever r reads from was cut off.
func Fill(r io.Reader, p []byte) (n int, err error) {
	for idle := 0; n < len(p); {
		m, err := r.Read(p[n:])
		n += m
		if err != nil {
			return n, err
		}
		if m > 0 {
			idle = 0
		} else if idle++; idle == 100 {
			return n, io.ErrNoProgress
		}
	}
	return n, nil
}
