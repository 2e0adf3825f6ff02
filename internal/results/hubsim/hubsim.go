// Package hubsim is a simulated FLAME hub: its auth, core and storage services
// under one address, in any of the three API generations, able to fail on
// demand. It is what `lodge simulate hub --listen ADDR` serves, and what tests
// talk to instead of the real hub.
//
// Every analysis id exists. On first sight an analysis gets a project and three
// buckets (CODE, RESULT, TEMP), whose ids follow from its own, so that they are
// the same after a restart. Every login is good unless a secret is set. Files
// lie on disk; everything else is in memory and gone when the process ends.
//
// The hub itself, as a client sees it:
//
//	H=http://127.0.0.1:9090
//	T=$(curl -s $H/auth/token -H 'content-type: application/json' \
//	    -d '{"grant_type":"robot_credentials","id":"any","secret":"any"}' | jq -r .access_token)
//	curl -s -H "authorization: Bearer $T" "$H/core/analyses/0192f3a1-0000-7000-8000-000000000001"
//	curl -s -H "authorization: Bearer $T" "$H/core/analysis-buckets?filter%5Btype%5D=RESULT&filter%5Banalysis_id%5D=0192f3a1-0000-7000-8000-000000000001"
//	curl -s -H "authorization: Bearer $T" "$H/storage/buckets/$BUCKET/upload" -F 'x=@model.bin'
//
// Nodes have to be made known, with the public key as PEM or as its hex:
//
//	curl -s -H "authorization: Bearer $T" "$H/core/nodes" -H 'content-type: application/json' \
//	    -d '{"id":"0192f3a1-0000-7000-8000-00000000000b","name":"b","public_key":"-----BEGIN PUBLIC KEY-----\n…"}'
//
// What it received, newest last, and the bytes of one file:
//
//	curl -s $H/received
//	curl -s "$H/received?analysis=0192f3a1-0000-7000-8000-000000000001"
//	curl -s $H/received/$FILE_ID -o file
//	curl -s -X DELETE $H/received
//
// Failing on demand (see Mode for the words):
//
//	curl -s $H/control -d '{"mode":"down"}'
//	curl -s $H/control -d '{"mode":"500","count":3,"path":"POST /storage/"}'
//	curl -s $H/control -d '{"mode":"slow","delay_ms":15000}'
//	curl -s $H/control -d '{"mode":"cut","count":1,"path":"/upload"}'
//	curl -s $H/control -d '{"mode":"ok","revoke_tokens":true}'
//	curl -s $H/control
package hubsim

import (
	"cmp"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"sync"
	"time"
)

// Options chooses what hub to be. The zero value works.
type Options struct {
	// Dir is where files are kept. Empty is a temporary folder that Close removes.
	Dir string
	// Generation is "a" (0.8.19, the default), "b" (0.8.25 to 0.11) or "c" (0.12 and later).
	Generation string
	// Secret, if set, is the only secret or password that logs in.
	Secret string
	// TokenTTL is how long a token holds; 0 is an hour.
	TokenTTL time.Duration
	// ProvisionAfter is how many times a bucket is shown without its storage bucket at first.
	ProvisionAfter int
	// Now is the clock; nil is the system's.
	Now func() time.Time
	// Log gets a line for each file and each change of mode; nil is none.
	Log *slog.Logger
}

// Sim is the simulated hub. It is safe for concurrent use.
type Sim struct {
	opts    Options
	key     []byte
	now     func() time.Time
	log     *slog.Logger
	handler http.Handler

	mu       sync.Mutex
	tables   map[string]*table
	gone     map[string]bool // analyses that were deleted
	files    map[string]*stored
	order    []*stored
	dir      string
	madeDir  bool
	mode     Mode
	changed  chan struct{} // closed when the mode changes
	epoch    int64
	secret   string
	requests int
	logins   int
}

// New makes a hub that has seen nothing yet.
func New(opts Options) *Sim {
	opts.Generation = cmp.Or(opts.Generation, "a")
	opts.TokenTTL = cmp.Or(opts.TokenTTL, time.Hour)
	s := &Sim{
		opts: opts, key: make([]byte, 32), now: opts.Now, log: opts.Log, dir: opts.Dir, secret: opts.Secret,
		gone: map[string]bool{}, files: map[string]*stored{}, mode: Mode{Mode: "ok"}, changed: make(chan struct{}),
	}
	if s.now == nil {
		s.now = time.Now //nolint:forbidigo // a simulation by itself has nobody to hand it a clock
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	_, _ = rand.Read(s.key) // it never fails
	s.tables = newTables(s.storageKey())
	s.seed()
	s.handler = s.routes()
	return s
}

// Handler serves the hub and its controls.
func (s *Sim) Handler() http.Handler { return s.handler }

// Close ends requests that hang and removes the temporary folder.
func (s *Sim) Close() error {
	s.SetMode(Mode{Mode: "ok"})
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.madeDir {
		return nil
	}
	s.madeDir = false
	if err := os.RemoveAll(s.dir); err != nil {
		return fmt.Errorf("remove the simulated hub's files: %w", err)
	}
	return nil
}

func (s *Sim) routes() http.Handler {
	hub := http.NewServeMux()
	hub.HandleFunc("POST /auth/token", s.handleToken)
	hub.HandleFunc("GET /auth/{resource}", s.authorised(s.handleList))
	hub.HandleFunc("GET /core/{resource}", s.authorised(s.handleList))
	hub.HandleFunc("POST /core/{resource}", s.authorised(s.handleCreate))
	hub.HandleFunc("GET /core/{resource}/{id}", s.authorised(s.handleGet))
	hub.HandleFunc("POST /core/{resource}/{id}", s.authorised(s.handleUpdate))
	hub.HandleFunc("DELETE /core/{resource}/{id}", s.authorised(s.handleDelete))
	hub.HandleFunc("GET /storage/{resource}", s.authorised(s.handleList))
	hub.HandleFunc("GET /storage/{resource}/{id}", s.authorised(s.handleGet))
	hub.HandleFunc("DELETE /storage/bucket-files/{id}", s.authorised(s.handleDeleteFile))
	hub.HandleFunc("GET /storage/bucket-files/{id}/stream", s.authorised(s.handleStream))
	hub.HandleFunc("POST /storage/buckets/{id}/upload", s.authorised(s.handleUpload))
	hub.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		s.refuse(w, http.StatusNotFound, "NOT_FOUND", "There is no such route.")
	})

	all := http.NewServeMux()
	all.HandleFunc("GET /received", s.handleReceived)
	all.HandleFunc("DELETE /received", s.handleForget)
	all.HandleFunc("GET /received/{id}", s.handleReceivedFile)
	all.HandleFunc("GET /control", s.handleState)
	all.HandleFunc("POST /control", s.handleControl)
	all.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	all.Handle("/", s.failing(hub))
	return all
}
