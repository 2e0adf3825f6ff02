// Package console serves the built console, which is compiled into the binary:
// the page with a strict content security policy, its files compressed ahead of
// time and cached for ever. Before the console is built it serves a page that
// says how.
package console

import (
	"bytes"
	"crypto/rand"
	"embed"
	"encoding/base64"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strconv"
	"strings"
	"time"
)

// dist holds .keep alone until the console is built.
//
//go:embed all:dist
var dist embed.FS

// Prefix is where the console is served.
const Prefix = "/ui/"

const (
	// forever is for files whose names carry a hash of their content.
	forever = "public, max-age=31536000, immutable"
	// shortly is for the few files with fixed names.
	shortly = "public, max-age=300"

	noncePlace = `<meta name="csp-nonce" content="`
)

// Handler serves the console under Prefix. Addresses that name no file get the
// page itself, whose router knows what they mean; so every view is a link.
func Handler() (http.Handler, error) {
	files, err := fs.Sub(dist, "dist")
	if err != nil {
		return nil, fmt.Errorf("open the console's files: %w", err)
	}
	return newHandler(files)
}

func newHandler(files fs.FS) (http.Handler, error) {
	h := &handler{files: map[string]*file{}}
	err := fs.WalkDir(files, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || name == ".keep" {
			return err
		}
		content, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		h.add(name, content)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the console's files: %w", err)
	}
	page, built := h.files["index.html"]
	if !built {
		return http.HandlerFunc(unbuilt), nil
	}
	before, after, found := bytes.Cut(page.plain, []byte(noncePlace))
	if !found {
		return nil, fmt.Errorf("the console's page has no place for a nonce: %s", noncePlace)
	}
	h.before, h.after = append(before, noncePlace...), after
	delete(h.files, "index.html")
	return h, nil
}

type handler struct {
	files map[string]*file
	// before and after are the page around its nonce.
	before, after []byte
}

// file is one file of the console in each encoding that it was built in.
type file struct {
	plain, brotli, gzip []byte
	media               string
}

func (h *handler) add(name string, content []byte) {
	plain := strings.TrimSuffix(strings.TrimSuffix(name, ".br"), ".gz")
	f := h.files[plain]
	if f == nil {
		f = &file{media: mediaType(plain)}
		h.files[plain] = f
	}
	switch path.Ext(name) {
	case ".br":
		f.brotli = content
	case ".gz":
		f.gzip = content
	default:
		f.plain = content
	}
}

// mediaType does not ask the machine's own tables, which differ.
func mediaType(name string) string {
	switch path.Ext(name) {
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	case ".png":
		return "image/png"
	case ".json":
		return "application/json"
	}
	return "application/octet-stream"
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		say(w, http.StatusMethodNotAllowed, "The console is only read.\n")
		return
	}
	name := strings.TrimPrefix(r.URL.Path, Prefix)
	if f, found := h.files[name]; found {
		f.serve(w, r, name)
		return
	}
	if strings.HasPrefix(name, "assets/") {
		// The page would be answered as if it were a script: after an upgrade that hides what is wrong.
		say(w, http.StatusNotFound, "This file belongs to another version of the console. Reload the page.\n")
		return
	}
	h.page(w, r)
}

func (f *file) serve(w http.ResponseWriter, r *http.Request, name string) {
	header := w.Header()
	header.Set("Content-Type", f.media)
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Vary", "Accept-Encoding")
	// A picture opened by itself is a document: nothing in it may run.
	header.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; sandbox")
	cache := shortly
	if strings.HasPrefix(name, "assets/") {
		cache = forever
	}
	header.Set("Cache-Control", cache)
	body := f.plain
	accepted := r.Header.Get("Accept-Encoding")
	switch {
	case f.brotli != nil && accepts(accepted, "br"):
		header.Set("Content-Encoding", "br")
		body = f.brotli
	case f.gzip != nil && accepts(accepted, "gzip"):
		header.Set("Content-Encoding", "gzip")
		body = f.gzip
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
}

// accepts reads an Accept-Encoding header; a coding with a quality of zero is refused.
func accepts(header, coding string) bool {
	for item := range strings.SplitSeq(header, ",") {
		name, params, _ := strings.Cut(item, ";")
		if !strings.EqualFold(strings.TrimSpace(name), coding) {
			continue
		}
		value, weighted := strings.CutPrefix(strings.TrimSpace(params), "q=")
		quality, err := strconv.ParseFloat(value, 64)
		return !weighted || err == nil && quality > 0
	}
	return false
}

// page writes index.html with a nonce of its own: the component library adds style elements, and
// the policy allows those that know the nonce, and no other.
func (h *handler) page(w http.ResponseWriter, r *http.Request) {
	var random [18]byte
	_, _ = rand.Read(random[:]) // never fails
	nonce := base64.RawURLEncoding.EncodeToString(random[:])
	header := w.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Cache-Control", "no-store")
	header.Set("Content-Security-Policy", policy(nonce))
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("X-Frame-Options", "DENY")
	header.Set("Referrer-Policy", "same-origin")
	header.Set("Cross-Origin-Opener-Policy", "same-origin-allow-popups")
	header.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
	if r.Method == http.MethodHead {
		return
	}
	for _, part := range [][]byte{h.before, []byte(nonce), h.after} {
		if _, err := w.Write(part); err != nil {
			return // the browser went away
		}
	}
}

// policy allows what stands in this binary and nothing else. Pictures may come from blob:, for previews.
func policy(nonce string) string {
	return strings.Join([]string{
		"default-src 'none'",
		"script-src 'self'",
		"style-src 'self' 'nonce-" + nonce + "'",
		"img-src 'self' blob:",
		"font-src 'self'",
		"connect-src 'self'",
		"base-uri 'none'",
		"form-action 'self'",
		"frame-ancestors 'none'",
	}, "; ")
}

// unbuilt answers while there is nothing to serve.
func unbuilt(w http.ResponseWriter, _ *http.Request) {
	say(w, http.StatusNotFound, "The console is not built into this binary. Run \"make build\" and start the server again.\n"+
		"The API is here all the same: see /docs.\n")
}

func say(w http.ResponseWriter, status int, text string) {
	header := w.Header()
	header.Set("Content-Type", "text/plain; charset=utf-8")
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text)) // the browser may be gone
}
