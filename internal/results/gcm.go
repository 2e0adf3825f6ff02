package results

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"fmt"
	"io"
)

// The standard library seals and opens only whole messages that are in memory. One encrypted result
// is one AES-GCM message of any size, so this file computes GCM over a stream: the key stream is the
// library's CTR mode, and GHASH comes from the library's GCM as well. Sealing nothing with a chunk as
// additional data yields (S ⊕ length)·H ⊕ mask, where S is the hash state after the chunk; one
// multiplication by 1/H gives S back. That costs one software multiplication in 64 KiB, and leaves the
// rest to the processor's instructions.

const (
	ivSize   = 12
	tagSize  = 16
	gcmChunk = 64 << 10
)

// element is a member of GCM's field GF(2^128), in its bit order: the coefficient of x^0 is the
// highest bit of hi.
type element struct{ hi, lo uint64 }

func toElement(b []byte) element {
	return element{binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])}
}

func (e element) bytes() (b [16]byte) {
	binary.BigEndian.PutUint64(b[:], e.hi)
	binary.BigEndian.PutUint64(b[8:], e.lo)
	return b
}

func (e element) plus(f element) element { return element{e.hi ^ f.hi, e.lo ^ f.lo} }

// times multiplies in the field, without a branch or a look-up that depends on the values.
func (e element) times(f element) (product element) {
	hi, lo := e.hi, e.lo
	for i := range 128 {
		word := f.hi
		if i >= 64 {
			word = f.lo
		}
		take := -(word >> (63 - i%64) & 1)
		product.hi ^= hi & take
		product.lo ^= lo & take
		carry := -(lo & 1)
		lo = lo>>1 | hi<<63
		hi = hi>>1 ^ carry&(0xe1<<56)
	}
	return product
}

// inverse is e^(2^128-2), which is 1/e for every e but zero.
func (e element) inverse() element {
	result, square := element{hi: 1 << 63}, e
	for range 127 {
		square = square.times(square)
		result = result.times(square)
	}
	return result
}

// ghash hashes a ciphertext as GCM does, chunk by chunk.
type ghash struct {
	aead       cipher.AEAD
	nonce      [ivSize]byte
	mask       element // what the library adds to the hash under the zero nonce
	h, inverse element
	state      element
	size       uint64
	tag        [tagSize]byte
}

// newGHASH needs an AES-256 block; it fails only where the library refuses GCM altogether.
func newGHASH(block cipher.Block) (*ghash, error) {
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("AES-GCM: %w", err)
	}
	g := &ghash{aead: aead}
	var zero, first, out [aes.BlockSize]byte
	block.Encrypt(out[:], zero[:])
	g.h = toElement(out[:])
	g.inverse = g.h.inverse()
	first[aes.BlockSize-1] = 1
	block.Encrypt(out[:], first[:])
	g.mask = toElement(out[:])
	return g, nil
}

// update adds a chunk of ciphertext. Every chunk but the last is a multiple of 16 bytes long; the
// chunk's slice needs room for padding, and holds what it held when update returns.
func (g *ghash) update(chunk []byte) {
	if len(chunk) == 0 {
		return
	}
	g.size += uint64(len(chunk))
	padded := chunk[:(len(chunk)+15)/16*16]
	clear(padded[len(chunk):])
	state := g.state.bytes()
	for i, b := range state {
		padded[i] ^= b
	}
	sum := toElement(g.aead.Seal(g.tag[:0], g.nonce[:], nil, padded)).plus(g.mask)
	for i, b := range state {
		padded[i] ^= b
	}
	g.state = sum.times(g.inverse).plus(element{hi: uint64(len(padded)) * 8})
}

// sum is the message's tag, given the encrypted first counter block.
func (g *ghash) sum(first [16]byte) [tagSize]byte {
	return g.state.plus(element{lo: g.size * 8}).times(g.h).plus(toElement(first[:])).bytes()
}

// message is one GCM message in work: its key stream and its hash.
type message struct {
	stream cipher.Stream
	hash   *ghash
	first  [16]byte
	buf    []byte
}

func newMessage(key [32]byte, iv [ivSize]byte) (*message, error) {
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return nil, fmt.Errorf("AES: %w", err)
	}
	hash, err := newGHASH(block)
	if err != nil {
		return nil, err
	}
	m := &message{hash: hash, buf: make([]byte, gcmChunk)}
	var counter [aes.BlockSize]byte
	copy(counter[:], iv[:])
	counter[aes.BlockSize-1] = 1
	block.Encrypt(m.first[:], counter[:])
	counter[aes.BlockSize-1] = 2
	m.stream = cipher.NewCTR(block, counter[:])
	return m, nil
}

// sealReader gives iv ‖ ciphertext ‖ tag of what it reads, in one pass.
type sealReader struct {
	*message
	src   io.Reader
	ready []byte // made, and not read yet
	done  bool
}

func newSealReader(key [32]byte, iv [ivSize]byte, src io.Reader) (io.Reader, error) {
	m, err := newMessage(key, iv)
	if err != nil {
		return nil, err
	}
	return &sealReader{message: m, src: src, ready: append([]byte(nil), iv[:]...)}, nil
}

func (s *sealReader) Read(p []byte) (int, error) {
	for len(s.ready) == 0 {
		if s.done {
			return 0, io.EOF
		}
		n, err := io.ReadFull(s.src, s.buf)
		if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
			return 0, err
		}
		chunk := s.buf[:n]
		s.stream.XORKeyStream(chunk, chunk)
		s.hash.update(chunk)
		s.ready = chunk
		if n < len(s.buf) {
			tag := s.hash.sum(s.first)
			s.ready = append(s.ready, tag[:]...) //nolint:gocritic // ready is a view of buf, which is reused
			s.done = true
		}
	}
	n := copy(p, s.ready)
	s.ready = s.ready[n:]
	return n, nil
}
