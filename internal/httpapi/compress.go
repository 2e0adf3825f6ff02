package httpapi

import (
	"bytes"
	"strconv"
	"strings"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// compressMin is the size from which JSON is compressed: less fits one packet anyway.
const compressMin = 1400

// compressor packs JSON answers, which are whole in memory. Streams never pass it: they are files
// that are compressed already, or events that must not wait for a buffer.
type compressor struct {
	zstd func() (*zstd.Encoder, error)
	gzip sync.Pool
}

func newCompressor() *compressor {
	return &compressor{
		zstd: sync.OnceValues(func() (*zstd.Encoder, error) {
			return zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(2),
				zstd.WithWindowSize(128<<10), zstd.WithLowerEncoderMem(true))
		}),
		gzip: sync.Pool{New: func() any { return gzip.NewWriter(nil) }},
	}
}

// pack returns body in the best coding that the client accepts, and the coding's name; "" means as it is.
func (c *compressor) pack(accept string, body []byte) ([]byte, string) {
	if accept == "" || len(body) < compressMin {
		return body, ""
	}
	switch {
	case accepts(accept, "zstd"):
		if enc, err := c.zstd(); err == nil {
			return enc.EncodeAll(body, make([]byte, 0, len(body)/4)), "zstd"
		}
	case accepts(accept, "gzip"):
		zw, _ := c.gzip.Get().(*gzip.Writer)
		defer c.gzip.Put(zw)
		buf := bytes.NewBuffer(make([]byte, 0, len(body)/4))
		zw.Reset(buf)
		if _, err := zw.Write(body); err == nil && zw.Close() == nil {
			return buf.Bytes(), "gzip"
		}
	}
	return body, ""
}

// accepts reads an Accept-Encoding header for one coding. A star is not taken as an invitation.
func accepts(header, coding string) bool {
	for header != "" {
		var item string
		item, header, _ = strings.Cut(header, ",")
		name, param, _ := strings.Cut(item, ";")
		if !strings.EqualFold(strings.TrimSpace(name), coding) {
			continue
		}
		q, found := strings.CutPrefix(strings.ToLower(strings.TrimSpace(param)), "q=")
		if !found {
			return true
		}
		weight, err := strconv.ParseFloat(strings.TrimSpace(q), 64)
		return err == nil && weight > 0
	}
	return false
}
