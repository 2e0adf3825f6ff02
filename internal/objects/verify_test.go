package objects

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"lodge/internal/fault"
)

func TestVerify(t *testing.T) {
	t.Parallel()
	errBroken := errors.New("broken")
	ways := map[string]func(w io.Writer, r io.Reader) error{
		"copy": func(w io.Writer, r io.Reader) error { _, err := io.Copy(w, r); return err },
		"read": func(w io.Writer, r io.Reader) error { _, err := io.Copy(w, struct{ io.Reader }{r}); return err },
		"byte": func(w io.Writer, r io.Reader) error { _, err := io.Copy(w, iotest.OneByteReader(r)); return err },
		"both": func(w io.Writer, r io.Reader) error {
			if _, err := io.CopyN(w, struct{ io.Reader }{r}, 1); err != nil {
				return err
			}
			_, err := io.Copy(w, r)
			return err
		},
	}
	for way, pass := range ways {
		for _, size := range []int{1, 2, 3, 1000, smallSize - 1, smallSize, smallSize + 1, 2 * smallSize, 9*smallSize + 5} {
			body := randomBytes(size)
			good := sha256.Sum256(body)
			damaged := bytes.Clone(body)
			damaged[size/2] ^= 1
			for _, c := range []struct {
				name string
				r    io.Reader
				want error
			}{
				{"whole", bytes.NewReader(body), nil},
				{"data with end", iotest.DataErrReader(bytes.NewReader(body)), nil},
				{"half", iotest.HalfReader(bytes.NewReader(body)), nil},
				{"damaged", bytes.NewReader(damaged), &fault.Error{}},
				{"cut", bytes.NewReader(body[:size-1]), &fault.Error{}},
				{"longer", io.MultiReader(bytes.NewReader(body), bytes.NewReader([]byte{0})), &fault.Error{}},
				{"broken", io.MultiReader(bytes.NewReader(body), iotest.ErrReader(errBroken)), errBroken},
			} {
				if way == "byte" && size > smallSize {
					continue
				}
				var got bytes.Buffer
				err := pass(&got, Verify(io.NopCloser(c.r), hex.EncodeToString(good[:])))
				if way == "both" && c.want == nil && size == 1 && errors.Is(err, io.EOF) {
					err = nil
				}
				if c.want == nil {
					if err != nil || !bytes.Equal(got.Bytes(), body) {
						t.Errorf("%s, %d bytes, %s: got %d bytes, %v", way, size, c.name, got.Len(), err)
					}
					continue
				}
				// The client must come out short of what it was promised.
				if err == nil || got.Len() >= size && c.name != "longer" || got.Len() > size {
					t.Errorf("%s, %d bytes, %s: passed on %d bytes, %v", way, size, c.name, got.Len(), err)
				}
				if errors.Is(c.want, errBroken) != errors.Is(err, errBroken) {
					t.Errorf("%s, %d bytes, %s: %v", way, size, c.name, err)
				}
			}
		}
	}
}

func TestVerifyEmpty(t *testing.T) {
	t.Parallel()
	empty := sha256.Sum256(nil)
	for sum, want := range map[string]bool{hex.EncodeToString(empty[:]): true, hex.EncodeToString(make([]byte, 32)): false, "": true} {
		got, err := io.ReadAll(Verify(io.NopCloser(bytes.NewReader(nil)), sum))
		if (err == nil) != want || len(got) != 0 {
			t.Errorf("Verify(nothing, %q) = %d bytes, %v", sum, len(got), err)
		}
		n, err := io.Copy(io.Discard, Verify(io.NopCloser(bytes.NewReader(nil)), sum))
		if (err == nil) != want || n != 0 {
			t.Errorf("io.Copy of Verify(nothing, %q) = %d bytes, %v", sum, n, err)
		}
	}
}

func TestVerifyFailingWriter(t *testing.T) {
	t.Parallel()
	errGone := errors.New("the client has gone")
	for _, size := range []int{10, 9 * smallSize} {
		body := randomBytes(size)
		sum := sha256.Sum256(body)
		r := Verify(io.NopCloser(bytes.NewReader(body)), hex.EncodeToString(sum[:]))
		if _, err := io.Copy(writerFunc(func([]byte) (int, error) { return 0, errGone }), r); !errors.Is(err, errGone) {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
