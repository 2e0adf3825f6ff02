package e2e

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
)

// extra is how much more memory the server may take for a body of any size.
const extra = 64 << 20

// TestFootprint is how long a start takes, and what a site takes that does nothing. It has the machine to
// itself, as far as this package goes.
func TestFootprint(t *testing.T) {
	began := time.Now()
	l := startLodge(t)
	empty := time.Since(began)
	l.stop()
	began = time.Now()
	l.start()
	again := time.Since(began)
	idle := l.server.memory("VmRSS")
	info, err := os.Stat(theBinary(t))
	noError(t, err)
	t.Logf("ready after %s on an empty folder, %s on one that is there; %d MiB idle; the binary has %d MiB",
		empty.Round(time.Millisecond), again.Round(time.Millisecond), idle>>20, info.Size()>>20)
	if empty > 3*time.Second || again > 1500*time.Millisecond {
		t.Errorf("ready after %s and %s, want less than 3 s and 1.5 s", empty, again)
	}
	if idle > 120<<20 || info.Size() > 120<<20 {
		t.Errorf("%d bytes idle and %d bytes of binary, want less than 120 MiB each", idle, info.Size())
	}
}

// TestMemory sends gigabytes through the server and looks at what it holds meanwhile.
func TestMemory(t *testing.T) {
	local, sealed := int64(256<<20), int64(128<<20)
	if *full {
		local, sealed = 2<<30, 1<<30
	} else {
		t.Parallel()
	}
	h := startHub(t)
	key, err := os.ReadFile(fixture(t, "p384_b.pub.hex"))
	noError(t, err)
	l := startLodge(t, at(h), with("LODGE_RESULTS_CRYPTO_PRIVATE_KEY_FILE", fixture(t, "p384_a.pem")))
	analysis, node := l.analysis(uuid.NewString()), uuid.NewString()
	h.addNode(node, strings.TrimSpace(string(key)))
	analysis.put("/results/local", randomFile("warm", 1, 1<<20)).is(200)

	var object, passing string
	f := randomFile("large.bin", 17, local)
	l.frugally("a local upload", func() {
		object = parse[stored](analysis.put("/results/local", f).is(200)).ObjectID
	})
	l.frugally("a local download", func() { analysis.checkDownload("/results/local/"+object, f) })

	g := randomFile("sealed.bin", 18, sealed)
	l.frugally("an encrypted upload", func() {
		passing = parse[stored](analysis.put("/results/intermediate", g, "remote_node_id", node).is(200)).ObjectID
	})
	l.frugally("an encrypted download", func() { analysis.checkDownload("/results/intermediate/"+passing+"?node_id="+node, g) })
	l.frugally("a final upload", func() { analysis.put("/results/final", g) })
}

// frugally does something and demands that the server's memory grew by no more than extra meanwhile.
func (l *lodge) frugally(what string, do func()) {
	l.t.Helper()
	before := l.server.memory("VmRSS")
	// From here on the kernel notes the most anew.
	noError(l.t, os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", l.server.cmd.Process.Pid), []byte("5"), 0))
	do()
	most := l.server.memory("VmHWM")
	l.t.Logf("%s: %d MiB before, %d MiB at most", what, before>>20, most>>20)
	if most-before >= extra {
		l.t.Errorf("%s took %d MiB of memory, want less than %d", what, (most-before)>>20, extra>>20)
	}
}

// memory reads a line of the kernel's account of the process, in bytes.
func (s *process) memory(line string) int64 {
	s.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	noError(s.t, err)
	for row := range strings.Lines(string(status)) {
		if fields := strings.Fields(row); len(fields) == 3 && fields[0] == line+":" {
			kib, err := strconv.ParseInt(fields[1], 10, 64)
			noError(s.t, err)
			return kib << 10
		}
	}
	s.t.Fatalf("the kernel does not tell the %s", line)
	return 0
}

// checkDownload reads a file without keeping it and compares its checksum.
func (c caller) checkDownload(path string, want file) {
	c.t.Helper()
	resp, err := c.open(c.t.Context(), http.MethodGet, path, nil, nil, 0)
	noError(c.t, err)
	defer func() { _ = resp.Body.Close() }()
	sum := sha256.New()
	n, err := io.Copy(sum, resp.Body)
	noError(c.t, err)
	equal(c.t, "status", resp.StatusCode, 200)
	equal(c.t, "bytes", n, want.size)
	equal(c.t, "SHA-256", hex.EncodeToString(sum.Sum(nil)), want.sha256())
}
