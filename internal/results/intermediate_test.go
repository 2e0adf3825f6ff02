package results

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"

	"lodge/internal/results/hub"
	"lodge/internal/results/hubsim"
)

// withKey gives this node the contract's key of Alice on P-384.
func withKey(t *testing.T) func(*setup) {
	t.Helper()
	key, err := ParsePrivateKey(fixture(t, "p384_a.pem"))
	noError(t, err)
	return func(set *setup) { set.cfg.PrivateKey = key }
}

// TestIntermediate is the reference's suite for /intermediate, unencrypted.
func TestIntermediate(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	id := uuid.NewString()
	auth := analysis(t, id)
	for _, path := range []string{"/intermediate", "/intermediate/"} {
		stored := parse[IntermediateUploadResponse](t, s.put(path, auth, file("m.bin", "weights")).is(t, 200, ""))
		equal(t, stored.URL, s.url+"/intermediate/"+stored.ObjectID)
		a := s.get(path[:len("/intermediate")]+"/"+stored.ObjectID+path[len("/intermediate"):], auth).is(t, 200, "weights")
		equal(t, a.Header.Get("Content-Type"), octetStream)
		equal(t, a.Header.Get("Content-Length"), "7")
		s.do("HEAD", "/intermediate/"+stored.ObjectID, auth, nil, nil).is(t, 200, "")
	}
	list := s.sent(id)
	equal(t, len(list), 2)
	equal(t, list[0].Bucket, "TEMP")
	equal(t, list[0].Linked, 1)
	missing := uuid.NewString()
	s.get("/intermediate/"+missing, auth).is(t, 404, "Object with ID "+missing+" does not exist")
	s.get("/intermediate/x", auth).is(t, 422, "")
	s.get("/intermediate/../../core/nodes", auth).is(t, 404, "Not Found")
	s.put("/intermediate", auth).is(t, 422, "")
	s.put("/intermediate", auth, file("a", ""), sentPart{header: `name="remote_node_id"; filename="x"`}).is(t, 422, "")
}

// TestIntermediateIsTheAnalysis reads other analyses' files, and files of other buckets (W5).
func TestIntermediateIsTheAnalysis(t *testing.T) {
	t.Parallel()
	sim := hubsim.New(hubsim.Options{Dir: t.TempDir()})
	t.Cleanup(func() { noError(t, sim.Close()) })
	withSim := func(set *setup) { set.sim = sim }
	s := newSite(t, withSim)
	id := uuid.NewString()
	object := parse[IntermediateUploadResponse](t, s.put("/intermediate", analysis(t, id), file("a", "mine")).is(t, 200, "")).ObjectID
	s.put("/final", analysis(t, id), file("a", "final")).is(t, 204, "")
	final := s.sent(id)[1].ID
	stranger := analysis(t, uuid.NewString())
	s.get("/intermediate/"+object, analysis(t, id)).is(t, 200, "mine")
	s.get("/intermediate/"+object, analysis(t, strings.ToUpper(id))).is(t, 200, "mine")
	s.get("/intermediate/"+object, stranger).is(t, 404, "Object with ID "+object+" does not exist")
	s.get("/intermediate/"+object+"?node_id="+uuid.NewString(), stranger).is(t, 404, "Object with ID "+object+" does not exist")
	s.get("/intermediate/"+final, analysis(t, id)).is(t, 404, "Object with ID "+final+" does not exist")
	s.permit("reader", "results.read", s.projectOf(id))
	s.get("/intermediate/"+object, person(t, "p", "reader")).is(t, 200, "mine")
	s.permit("other", "results.read", "elsewhere")
	s.get("/intermediate/"+object, person(t, "q", "other")).is(t, 404, "")

	open := newSite(t, withSim, withConfig(func(c *Config) { c.AnyoneReadsIntermediate = true }))
	open.get("/intermediate/"+object, stranger).is(t, 200, "mine")
	open.get("/intermediate/"+object, analysis(t, "flame")).is(t, 200, "mine")
}

// TestEncrypted passes files of every size between two nodes.
func TestEncrypted(t *testing.T) {
	t.Parallel()
	s := newSite(t, withKey(t))
	id, bob, mute, broken, otherCurve := uuid.NewString(), uuid.NewString(), uuid.NewString(), uuid.NewString(), uuid.NewString()
	auth := analysis(t, id)
	s.sim.AddNode(bob, strings.TrimSpace(fixture(t, "p384_b.pub.hex")))
	s.sim.AddNode(mute, "")
	s.sim.AddNode(broken, "no key at all")
	s.sim.AddNode(otherCurve, strings.TrimSpace(fixture(t, "p256_b.pub.hex")))

	for _, size := range []int{0, 1, 996, 997, 5000, segmentSize - 28, segmentSize, 3*segmentSize + 7} {
		plain := make([]byte, size)
		_, _ = rand.NewChaCha8([32]byte{byte(size)}).Read(plain)
		// The field counts before the file and after it.
		parts := []sentPart{text("remote_node_id", bob), file("m", string(plain))}
		if size%2 == 1 {
			parts[0], parts[1] = parts[1], parts[0]
		}
		object := parse[IntermediateUploadResponse](t, s.put("/intermediate", auth, parts...).is(t, 200, "")).ObjectID
		raw := s.get("/intermediate/"+object, auth).is(t, 200, "").body
		equal(t, len(raw), size+28)
		bobs := testKey(t, "p384_b", "p384_a")
		equal(t, string(opened(t, bobs, []byte(raw))), string(plain))
		for _, name := range []string{"node_id", "remote_node_id"} {
			s.get("/intermediate/"+object+"?"+name+"="+bob, auth).is(t, 200, string(plain))
		}
	}
	object := parse[IntermediateUploadResponse](t, s.put("/intermediate", auth, file("m", "plain, and longer than any tag")).is(t, 200, "")).ObjectID
	cannot := "File with ID " + object + " cannot be decrypted under the assumption that the file was encrypted by node " + bob + " for this node."
	s.get("/intermediate/"+object+"?node_id="+bob, auth).is(t, 400, cannot)
	short := parse[IntermediateUploadResponse](t, s.put("/intermediate", auth, file("m", "short")).is(t, 200, "")).ObjectID
	s.get("/intermediate/"+short+"?node_id="+bob, auth).is(t, 400, "")

	none := uuid.NewString()
	for node, want := range map[string]struct {
		status int
		detail string
	}{
		none:       {404, "Remote node with ID " + none + " does not exist."},
		"":         {404, "Remote node with ID  does not exist."},
		"../nodes": {404, "Remote node with ID ../nodes does not exist."},
		mute:       {400, "Remote node with ID " + mute + " does not provide a public key"},
		broken:     {502, "The public key of node " + broken + " is not usable: no PEM block found"},
		otherCurve: {502, "The public key of node " + otherCurve + " is not usable: its curve is P-256, this node's is P-384"},
	} {
		s.put("/intermediate", auth, text("remote_node_id", node), file("m", "x")).is(t, want.status, want.detail)
		s.get("/intermediate/"+object+"?node_id="+node, auth).is(t, want.status, want.detail)
	}
	equal(t, len(s.sent(id)), 10)

	// The later format, in segments, is read as well.
	key := testKey(t, "p384_b", "p384_a")
	var blob []byte
	plain := make([]byte, 2*segmentSize)
	for i := 0; i < len(plain); i += segmentSize - 28 {
		iv := bytes.Repeat([]byte{byte(i >> 20)}, ivSize)
		blob = append(blob, libraryGCM(t, key).Seal(iv, iv, plain[i:min(i+segmentSize-28, len(plain))], nil)...)
	}
	segmented := parse[IntermediateUploadResponse](t, s.put("/intermediate", auth, file("m", string(blob))).is(t, 200, "")).ObjectID
	s.get("/intermediate/"+segmented+"?node_id="+bob, auth).is(t, 200, string(plain))
}

func TestNoPrivateKey(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	bob := uuid.NewString()
	s.sim.AddNode(bob, strings.TrimSpace(fixture(t, "p384_b.pub.hex")))
	s.put("/intermediate", analysis(t, uuid.NewString()), text("remote_node_id", bob), file("m", "x")).
		is(t, 503, "This node has no private key: set results.crypto.private_key or private_key_file")
}

// TestLocalUpload sends a stored result to another node, as the successor does.
func TestLocalUpload(t *testing.T) {
	t.Parallel()
	s := newSite(t, withKey(t))
	id, bob := uuid.NewString(), uuid.NewString()
	auth := analysis(t, id)
	s.sim.AddNode(bob, strings.TrimSpace(fixture(t, "p384_b.pub.hex")))
	large := strings.Repeat("0123456789", 300_000)
	local := parse[LocalUploadResponse](t, s.put("/local", auth, file("m.bin", large)).is(t, 200, "")).ObjectID
	send := func(auth, query string) answer { return s.do(http.MethodPut, "/local/upload?"+query, auth, nil, nil) }
	sent := parse[IntermediateUploadResponse](t, send(auth, "object_id="+local+"&remote_node_id="+bob).is(t, 200, ""))
	equal(t, sent.URL, s.url+"/intermediate/"+sent.ObjectID)
	s.get("/intermediate/"+sent.ObjectID+"?node_id="+bob, auth).is(t, 200, large)
	equal(t, s.sent(id)[0].Path, "m.bin")
	send(analysis(t, uuid.NewString()), "object_id="+local+"&remote_node_id="+bob).is(t, 404, "")
	send(auth, "object_id="+local).is(t, 422, "")
	send(auth, "remote_node_id="+bob).is(t, 422, "")
	send(auth, "object_id=x&remote_node_id="+bob).is(t, 422, "")
}

// TestHubFailsOnReading gives no part for a whole.
func TestHubFailsOnReading(t *testing.T) {
	t.Parallel()
	s := newSite(t, withKey(t), withHub(func(c *hub.Config) { c.Timeout, c.UploadTimeout = hubPatience, hubPatience }))
	id, bob := uuid.NewString(), uuid.NewString()
	auth := analysis(t, id)
	s.sim.AddNode(bob, strings.TrimSpace(fixture(t, "p384_b.pub.hex")))
	data := strings.Repeat("0123456789", 500_000)
	object := parse[IntermediateUploadResponse](t, s.put("/intermediate", auth, text("remote_node_id", bob), file("m", data)).is(t, 200, "")).ObjectID
	for _, test := range []struct {
		mode   hubsim.Mode
		status int
	}{
		{hubsim.Mode{Mode: "500", Path: "/stream"}, 502},
		{hubsim.Mode{Mode: "html", Path: "/stream"}, 502},
		{hubsim.Mode{Mode: "down"}, 502},
		{hubsim.Mode{Mode: "hang"}, 504},
		{hubsim.Mode{Mode: "rubbish", Path: "GET /storage/bucket-files"}, 502},
	} {
		s.sim.SetMode(test.mode)
		s.get("/intermediate/"+object, auth).is(t, test.status, "")
		s.get("/intermediate/"+object+"?node_id="+bob, auth).is(t, test.status, "")
	}
	s.sim.SetMode(hubsim.Mode{Mode: "cut", Path: "/stream"})
	s.get("/intermediate/"+object+"?node_id="+bob, auth).is(t, 502, "")
	resp, err := http.DefaultClient.Do(request(t, s.url+"/intermediate/"+object, auth))
	if err == nil {
		defer func() { _ = resp.Body.Close() }()
		var body []byte
		if body, err = io.ReadAll(resp.Body); err == nil && resp.StatusCode == 200 {
			t.Errorf("%d of %d bytes are given out as a whole", len(body), len(data)+28)
		}
	}
	s.sim.SetMode(hubsim.Mode{Mode: "ok"})
	s.get("/intermediate/"+object+"?node_id="+bob, auth).is(t, 200, data)
}

// TestBodiesAreFlat sends and reads a body that is far larger than what may be allocated for it,
// encrypted and not. What the clients of the test allocate counts too.
func TestBodiesAreFlat(t *testing.T) {
	const size, limit = 96 << 20, 24 << 20
	s := newSite(t, withKey(t))
	id, bob := uuid.NewString(), uuid.NewString()
	auth := analysis(t, id)
	s.sim.AddNode(bob, strings.TrimSpace(fixture(t, "p384_b.pub.hex")))
	want := sha256.New()
	_, err := io.Copy(want, io.LimitReader(zeros{}, size))
	noError(t, err)
	head := "--B\r\nContent-Disposition: form-data; name=\"file\"; filename=\"x\"\r\n\r\n"
	node := "\r\n--B\r\nContent-Disposition: form-data; name=\"remote_node_id\"\r\n\r\n" + bob
	for _, test := range []struct{ put, get, fields, query string }{
		{"/local", "/local/", "", ""},
		{"/intermediate", "/intermediate/", "", ""},
		{"/intermediate", "/intermediate/", node, "?node_id=" + bob},
		{"/final", "", "", ""},
	} {
		var object string
		allocated := allocations(func() {
			body := io.MultiReader(strings.NewReader(head), io.LimitReader(zeros{}, size), strings.NewReader(test.fields+"\r\n--B--\r\n"))
			a := s.do(http.MethodPut, test.put, auth, http.Header{"Content-Type": {"multipart/form-data; boundary=B"}}, body)
			if test.get == "" {
				if a.StatusCode == http.StatusAccepted {
					s.waitFor(a.Header.Get("Location"), auth, "delivered")
				}
				return
			}
			object = parse[LocalUploadResponse](t, a.is(t, 200, "")).ObjectID
			resp, err := http.DefaultClient.Do(request(t, s.url+test.get+object+test.query, auth))
			noError(t, err)
			defer func() { _ = resp.Body.Close() }()
			got := sha256.New()
			_, err = io.Copy(got, resp.Body)
			noError(t, err)
			equal(t, hex.EncodeToString(got.Sum(nil)), hex.EncodeToString(want.Sum(nil)))
		})
		if allocated > limit {
			t.Errorf("PUT %s%s: %d MiB allocated for a body of %d MiB", test.put, test.query, allocated>>20, size>>20)
		}
	}
}

// TestSpoolHidesWhatItHolds looks at the temporary file itself.
func TestSpoolHidesWhatItHolds(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	sp := newSpool(dir)
	body := bytes.Repeat([]byte("secret"), 1<<19)
	noError(t, sp.fill(bytes.NewReader(body)))
	onDisk, err := io.ReadAll(io.NewSectionReader(sp.file, 0, sp.size))
	noError(t, err)
	if len(onDisk) == 0 || bytes.Contains(onDisk, []byte("secret")) {
		t.Errorf("%d bytes on disk, readable", len(onDisk))
	}
	for range 2 {
		got, err := io.ReadAll(sp.reader())
		noError(t, err)
		equal(t, string(got), string(body))
	}
	noError(t, errors.Join(sp.Close(), sp.Close()))
	equal(t, len(entries(t, dir)), 0)
}
